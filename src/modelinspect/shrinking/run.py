"""Shrink an artifact: write it again beside its place, prove that nothing changed, and only then put it
there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path

from modelinspect.core.artifact import Artifact, FormatName, Severity
from modelinspect.core.limits import Limits
from modelinspect.core.records import dataclass, replace
from modelinspect.core.tensors import ElementKind, Role
from modelinspect.errors import FormatError, LocationError, OutputError, UsageError
from modelinspect.formats.registry import parse
from modelinspect.reports.shrink import Outcome
from modelinspect.reports.wording import plural
from modelinspect.shrinking import writing
from modelinspect.shrinking.archives import Inner, combine, shrink_archive
from modelinspect.shrinking.certificate import Record, certificate, record_files
from modelinspect.shrinking.places import Place, check_place, publish, shown_place, staging_place
from modelinspect.shrinking.proof import (
    Proof,
    UnprovedError,
    compare_in_order,
    compare_reduced,
    compare_tensors,
    contents,
    documents,
)
from modelinspect.shrinking.steps import (
    Drop,
    Job,
    Loader,
    NotShrinkableError,
    Options,
    Step,
    StepName,
    Witness,
    Work,
)
from modelinspect.shrinking.tfjs import precompress
from modelinspect.sources.files import FileSet
from modelinspect.sources.opening import open_location

Family = Callable[[Job], Witness]
Progress = Callable[[int, int], None]

_FAMILIES: Mapping[FormatName, str] = {
    FormatName.KERAS_HDF5: "hdf5:shrink_hdf5",
    FormatName.WEIGHTS_HDF5: "hdf5:shrink_hdf5",
    FormatName.HDF5: "hdf5:shrink_hdf5",
    FormatName.KERAS_ZIP: "keras_zip:shrink_keras_zip",
    FormatName.TFLITE: "tflite:shrink_tflite",
    FormatName.SAVED_MODEL: "saved_model:shrink_saved_model",
    FormatName.CHECKPOINT: "saved_model:shrink_checkpoint",
    FormatName.GRAPH_DEF: "graph_def:shrink_graph_def",
    FormatName.TFJS: "tfjs:shrink_tfjs",
    FormatName.SAFETENSORS: "safetensors:shrink_safetensors",
}
_LEFT_ALONE: Mapping[FormatName, str] = {
    FormatName.LITERTLM: (
        "its runtime maps the sections in place, and no reader outside of it can prove that a file whose"
        " sections moved loads; shrink the models before they are packed"
    ),
    FormatName.ORBAX: (
        "its chunks are compressed, and old generations go when the checkpoint is saved again; only the"
        " library tensorstore writes its trees"
    ),
    FormatName.MLIR: (
        "its constants are attributes of a program that only the MLIR libraries write; pass weights as"
        " arguments instead"
    ),
}
"""Why files of a format are not written again."""
_FOLDERS = frozenset({FormatName.KERAS_ZIP, FormatName.WEIGHTS_HDF5, FormatName.KERAS_PRESET})
"""Formats that may also be a folder, or a file that names others, with HDF5 files in it."""
_FOLDER_FAMILY = "hdf5_folder:shrink_hdf5_folder"
_LOADERS: Mapping[FormatName, tuple[Loader, ...]] = {
    FormatName.KERAS_HDF5: (Loader.KERAS3, Loader.TF_KERAS, Loader.H5PY),
    FormatName.WEIGHTS_HDF5: (Loader.KERAS3, Loader.TF_KERAS, Loader.H5PY),
    FormatName.HDF5: (Loader.H5PY,),
    FormatName.KERAS_ZIP: (Loader.KERAS3, Loader.TF_KERAS),
    FormatName.TFLITE: (Loader.TFLITE,),
    FormatName.SAVED_MODEL: (Loader.TENSORFLOW, Loader.KERAS3, Loader.TF_KERAS),
    FormatName.CHECKPOINT: (Loader.TENSORFLOW,),
    FormatName.GRAPH_DEF: (Loader.TENSORFLOW,),
    FormatName.TFJS: (Loader.TFJS,),
    FormatName.KERAS_PRESET: (Loader.KERAS3,),
    FormatName.SAFETENSORS: (Loader.SAFETENSORS,),
}
"""The programs whose rules the results of a format keep; tests load results with each."""
_TRAINING_ROLES: Mapping[FormatName, frozenset[Role]] = {
    FormatName.KERAS_HDF5: frozenset({Role.OPTIMIZER, Role.PRUNING}),
    FormatName.KERAS_ZIP: frozenset({Role.OPTIMIZER, Role.PRUNING}),
    FormatName.WEIGHTS_HDF5: frozenset({Role.OPTIMIZER}),
    FormatName.CHECKPOINT: frozenset({Role.OPTIMIZER}),
    FormatName.SAVED_MODEL: frozenset({Role.OPTIMIZER}),
}
"""The tensors that ``--drop training`` removes from a format."""
OPAQUE_VARIABLES = (
    "variables are stored as opaque elements, as Keras writes bfloat16: Keras loads neither the original nor"
    " the result; Keras 3 loads .keras files that it saved"
)
_WITH_HDF5 = frozenset({FormatName.KERAS_HDF5, FormatName.WEIGHTS_HDF5, FormatName.KERAS_ZIP})
_PASSES = 4
"""How often the bytes of an artifact are read: written again, and compared by two readers on both sides."""


@dataclass(frozen=True, slots=True)
class Shrinking:
    """What became of one artifact: ``after`` and ``proof`` are None where it stays as it is, and ``reason``
    says why.
    """

    outcome: Outcome
    before: Record
    after: Record | None
    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    proof: Proof | None
    loads_in: tuple[Loader, ...]
    certificate: str | None
    reason: str = ""
    written: str | None = None


def shrink(
    location: str,
    options: Options,
    place: Place,
    limits: Limits | None = None,
    progress: Progress | None = None,
    opened: tuple[Artifact, FileSet] | None = None,
) -> Shrinking:
    """Shrink the artifact at a location, which may be ``opened`` already: its files stay open then.

    Raises `ModelInspectError`; the input and what is in the output's place stay as they are then.
    """
    if "://" in location:
        raise UsageError(f"{location}: only files of this machine are written again; copy it here first")
    allowed = limits or Limits()
    with open_location(location, allowed) if opened is None else nullcontext(opened[1]) as files:
        artifact = parse(files, allowed) if opened is None else opened[0]
        source = Path(location)
        check_place(source, files, place)
        size = max(sum(tensor.logical_size for tensor in artifact.tensors), 1)
        work = Work(options, allowed, tick=_meter(size * _PASSES, progress))
        before = record_files(artifact, files)
        beside = staging_place(source, files, place)
        with writing.staging(beside) as folder:
            try:
                return _attempt(artifact, files, before, folder, work, place)
            except (NotShrinkableError, UnprovedError, FormatError) as error:
                return Shrinking(
                    Outcome.REFUSED, before, None, (), tuple(work.notes), None, (), None, str(error)
                )
            except LocationError:
                raise
            except OSError as error:
                raise OutputError(f"{beside.parent}: cannot be written: {error.strerror or error}") from error


def _attempt(
    artifact: Artifact, files: FileSet, before: Record, folder: Path, work: Work, place: Place
) -> Shrinking:
    if "wrapped_in" in artifact.facts:
        return _attempt_archive(artifact, files, before, folder, work, place)
    family, loads_in = _family(artifact, work.options, is_one_file=_is_one_file(artifact, files))
    if Loader.KERAS3 in _unable(artifact)[0]:
        work.notes.append(OPAQUE_VARIABLES)
    bad = next(
        (each for each in artifact.diagnostics if each.severity in (Severity.ERROR, Severity.WARNING)), None
    )
    if bad is not None:
        raise NotShrinkableError(f"damaged or unusual, and left alone: {bad.problem}")
    witness = family(Job(artifact, files, folder, work))
    with open_location(folder / files.primary if files.primary is not None else folder, work.limits) as made:
        result = parse(made, work.limits)
        after = record_files(result, made)
        if after.size >= before.size:
            reason = "already as small as it gets this way"
            return Shrinking(
                Outcome.UNCHANGED, before, None, (), tuple(work.notes), None, loads_in, None, reason
            )
        proof = _prove(artifact, files, result, made, work, witness)
    if _is_one_file(artifact, files) or artifact.format in (FormatName.CHECKPOINT, FormatName.SAVED_MODEL):
        _note_training(artifact, work)
    return _finish(before, after, proof, loads_in, work, folder, files, place)


def _note_training(artifact: Artifact, work: Work) -> None:
    """Note the training state that stays although it could be dropped."""
    roles = _TRAINING_ROLES.get(artifact.format, frozenset())
    kept = sum(tensor.stored_size for tensor in artifact.tensors if tensor.role in roles)
    if kept and not work.drops(Drop.TRAINING):
        work.notes.append(
            f"{plural(kept, 'byte')} of the original are training state and stay; --drop training removes"
            " them"
        )


def _attempt_archive(
    artifact: Artifact, files: FileSet, before: Record, folder: Path, work: Work, place: Place
) -> Shrinking:
    """Shrink the models inside an archive, each with its own proof; the archive's library compares all other
    files.
    """

    def inner(path: Path, output: Path, options: Options) -> Inner | str:
        limits = replace(work.limits, archive_nesting=work.limits.archive_nesting - 1)
        try:
            done = shrink(str(path), options, Place(output), limits)
        except (NotShrinkableError, UnprovedError, FormatError) as error:
            return str(error)
        if done.after is None or done.proof is None:
            return "" if done.outcome is Outcome.UNCHANGED else done.reason
        made = {
            file.name: output / file.name if output.is_dir() else output.with_name(file.name)
            for file in done.after.files
        }
        return Inner(made, done.proof, tuple(str(step.name) for step in done.steps), done.loads_in)

    wrapped = shrink_archive(Job(artifact, files, folder, work), inner)
    with open_location(folder / str(files.primary), work.limits) as made:
        result = parse(made, work.limits)
        after = record_files(result, made)
        if after.size >= before.size:
            reason = "already as small as it gets this way"
            return Shrinking(
                Outcome.UNCHANGED, before, None, (), tuple(work.notes), None, wrapped.loads_in, None, reason
            )
        if wrapped.proofs:
            proof = combine(wrapped.proofs, wrapped.witness(made))
        else:
            proof = _prove(artifact, files, result, made, work, wrapped.witness)
    return _finish(before, after, proof, wrapped.loads_in, work, folder, files, place)


def _finish(
    before: Record,
    after: Record,
    proof: Proof,
    loads_in: tuple[Loader, ...],
    work: Work,
    folder: Path,
    files: FileSet,
    place: Place,
) -> Shrinking:
    """Put a proved result in its place."""
    steps = _balanced(tuple(work.steps), before.size - after.size)
    if work.options.precompress and (place.output is not None or place.in_place):
        if after.format != FormatName.TFJS:
            raise UsageError(
                f"{before.location}: --precompress is for TensorFlow.js models, whose files a server sends"
            )
        work.notes += precompress(folder, work.options.level)
    shown = publish(before, after, folder, files, place)
    after = replace(after, location=shown)
    return Shrinking(
        Outcome.SMALLER,
        before,
        after,
        steps,
        tuple(work.notes),
        proof,
        loads_in,
        certificate(before, after, steps, proof),
        written=shown_place(place, shown),
    )


def _prove(
    artifact: Artifact, files: FileSet, result: Artifact, made: FileSet, work: Work, witness: Witness
) -> Proof:
    """Compare input and result, by our parser and by another reader. Raises `UnprovedError`."""
    known = {each.problem for each in artifact.diagnostics}
    new_problems = [each.problem for each in result.diagnostics if each.problem not in known]
    if result.format is not artifact.format or new_problems:
        problem = new_problems[0] if new_problems else f"it is read as {result.format}"
        raise UnprovedError(f"the result is not read like the input: {problem}")
    old = contents(artifact, files, work.limits, work.tick)
    new = contents(result, made, work.limits, work.tick)
    if Drop.NAMES in work.options.drop and artifact.format is FormatName.TFLITE:
        equal, unread = compare_in_order(old, new, work.dropped)
        total = old.count
        dropped = total - equal
    elif Drop.TRAINING in work.options.drop:
        equal, dropped = compare_reduced(artifact, old, new, work.changed)
        total, unread = equal + dropped, sum(content.digest is None for content in new.tensors.values())
    else:
        equal, unread = compare_tensors(old, new, work.dropped, work.renamed)
        total = old.count
        dropped = total - equal
    before, after = documents(artifact, files), documents(result, made)
    same = (before & after).total()
    changed = before.total() - same
    if (changed or after.total() != before.total()) and not work.changed_documents:
        raise UnprovedError("a document of the result differs from that of the input")
    found = witness(made)
    if unread and not any(found.values()):
        raise UnprovedError(f"{unread:,} tensors could not be compared")
    return Proof(total, equal, unread, dropped, before.total(), same, changed, found)


def _family(artifact: Artifact, options: Options, *, is_one_file: bool) -> tuple[Family, tuple[Loader, ...]]:
    is_folder = artifact.format in _FOLDERS and not is_one_file
    named = _FOLDER_FAMILY if is_folder else _FAMILIES.get(artifact.format)
    if named is None:
        raise NotShrinkableError(
            f"{artifact.format} files are not written again: {_LEFT_ALONE[artifact.format]}"
        )
    unable, elements = _unable(artifact)
    loads_in = tuple(loader for loader in _LOADERS[artifact.format] if loader not in unable)
    missing = sorted(options.loaders - set(loads_in))
    if missing:
        what = f" with {elements} elements" if missing[0] in unable else ""
        raise NotShrinkableError(f"{missing[0]} does not load {artifact.format} files{what}")
    module, _, function = named.partition(":")
    family: Family = getattr(import_module(f"modelinspect.shrinking.{module}"), function)
    return family, tuple(loader for loader in loads_in if not options.loaders or loader in options.loaders)


def _unable(artifact: Artifact) -> tuple[frozenset[Loader], str]:
    """Return the loaders that cannot load an artifact for what its variables are made of, and what that is.

    HDF5 has no bfloat16 that h5py knows: Keras writes opaque bytes, and Keras 3 notes in a weights file what
    they are, which only Keras 3 reads.
    """
    if artifact.format not in _WITH_HDF5:
        return frozenset(), ""
    types = {tensor.dtype for tensor in artifact.tensors if tensor.role is not Role.OTHER}
    if any(dtype.kind is ElementKind.OPAQUE for dtype in types):
        return frozenset({Loader.KERAS3, Loader.TF_KERAS}), "opaque"
    noted = sorted(dtype.name for dtype in types if dtype.name.startswith(("bfloat", "float8")))
    return (frozenset({Loader.TF_KERAS}), noted[0]) if noted else (frozenset(), "")


def _is_one_file(artifact: Artifact, files: FileSet) -> bool:
    return files.primary is not None and len(artifact.members) == 1


def _balanced(steps: tuple[Step, ...], saved: int) -> tuple[Step, ...]:
    """Return steps whose savings add up to what was saved: the last one takes the difference."""
    merged: dict[tuple[StepName, str], Step] = {}
    for step in steps:
        known = merged.get((step.name, step.level))
        merged[step.name, step.level] = (
            step if known is None else replace(known, saved=known.saved + step.saved)
        )
    found = list(merged.values())
    rest = saved - sum(step.saved for step in found)
    if rest and found:
        found[-1] = replace(found[-1], saved=found[-1].saved + rest)
    return tuple(found)


def _meter(total: int, progress: Progress | None) -> Callable[[int], None]:
    """Return something to report bytes to, which passes on how far the work is."""
    done = 0

    def tick(size: int) -> None:
        nonlocal done
        done += size
        if progress is not None:
            progress(min(done, total), total)

    return tick
