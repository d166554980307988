"""Shrink SavedModels and checkpoints: their variables are stored once, in one shard, with a new index."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modelinspect.core.artifact import FormatName
from modelinspect.core.names import FINGERPRINT_PB
from modelinspect.core.tensors import Role
from modelinspect.encodings.protobuf import parse_message
from modelinspect.shrinking.bundle import Bundle, digest, read_bundle, shard_names, write_bundle
from modelinspect.shrinking.checkpoint_training import drop_optimizer
from modelinspect.shrinking.farmhash import fingerprint64
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.shrinking.steps import Drop, Job, NotShrinkableError, StepName, Witness
from modelinspect.shrinking.zip_files import copy_source
from modelinspect.sources.files import FileSet

_VARIABLES = "variables/variables.index"

_STAYS = (
    "--drop training drops nothing here: the save and restore operators of the graph name every variable of"
    " the optimizer, and loading runs them; save the model without its optimizer instead"
)
_WRAPPERS_STAY = (
    "pruning masks stay: the object graph names the wrapped layers by their wrappers; strip the model and"
    " save it again"
)


def shrink_saved_model(job: Job) -> Witness:
    """Write the variables of a SavedModel again and copy its other files. Raises `NotShrinkableError`."""
    if job.files.primary is not None:
        raise NotShrinkableError(f"{job.files.primary}: is one file of a SavedModel; name its folder")
    if _VARIABLES not in job.files.names():
        raise NotShrinkableError("it has no variables")
    bundle = _rewrite(job, _VARIABLES)
    copied = _copy_others(job, {_VARIABLES, *shard_names(job.files, bundle.prefix)})
    if FINGERPRINT_PB in copied:
        _write_fingerprint(job.folder)
        copied.remove(FINGERPRINT_PB)
    return _witness(job, [bundle], copied)


def shrink_checkpoint(job: Job) -> Witness:
    """Write every bundle of a checkpoint again. Raises `NotShrinkableError`."""
    if job.files.primary is not None:
        index = job.files.primary
        if not index.endswith(".index"):
            raise NotShrinkableError(f"{index}: is a checkpoint of another kind, which is not written again")
        return _witness(job, [_rewrite(job, index)], [])
    indexes = [name for name in job.files.names() if name.endswith(".index")]
    if not indexes:
        raise NotShrinkableError("it has no index of the kind that is written again")
    bundles = [_rewrite(job, index) for index in indexes]
    replaced = {*indexes, *(name for bundle in bundles for name in shard_names(job.files, bundle.prefix))}
    return _witness(job, bundles, _copy_others(job, replaced))


def _rewrite(job: Job, index: str) -> Bundle:
    bundle = read_bundle(job.files, index, job.work.limits)
    old = bundle.index_size + sum(job.files.open(name).size for name in shard_names(job.files, bundle.prefix))
    dropped = _drop_training(job, bundle) if job.work.drops(Drop.TRAINING) else 0
    write_bundle(bundle, job.folder, job.work, old - dropped)
    return bundle


def _drop_training(job: Job, bundle: Bundle) -> int:
    """Drop the optimizer's entries of a checkpoint and return their bytes; those of a SavedModel stay."""
    work = job.work
    if job.artifact.format is FormatName.SAVED_MODEL:
        work.notes += [] if _STAYS in work.notes else [_STAYS]
        return 0
    if (
        any(tensor.role is Role.PRUNING for tensor in job.artifact.tensors)
        and _WRAPPERS_STAY not in work.notes
    ):
        work.notes.append(_WRAPPERS_STAY)
    dropped = drop_optimizer(bundle, job.artifact)
    work.add(
        StepName.STRIP_OPTIMIZER,
        dropped,
        Drop.TRAINING,
        "entries of the optimizer, and its slots in the object graph",
    )
    work.changed_documents = work.changed_documents or bool(bundle.replaced)
    return dropped


def _copy_others(job: Job, replaced: set[str]) -> list[str]:
    """Copy the files that stay as they are and return their names."""
    names = [name for name in job.files.names() if name not in replaced]
    for name in names:
        target = job.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_source(job.files.open(name), target)
    return names


def _write_fingerprint(folder: Path) -> None:
    """Bring the hash of the variables' index up to date
    (tensorflow/cc/saved_model/fingerprinting_utils.cc).
    """
    path = folder / FINGERPRINT_PB
    found = parse_message("FingerprintDef", path.read_bytes(), FINGERPRINT_PB)
    found.checkpoint_hash = fingerprint64((folder / _VARIABLES).read_bytes())  # type: ignore[attr-defined]
    path.write_bytes(found.SerializeToString(deterministic=True))


def _witness(job: Job, bundles: list[Bundle], copied: list[str]) -> Witness:
    """Return what compares every entry and every other file byte by byte, by what the protobuf package reads
    of the index.
    """

    def witness(after: FileSet) -> Mapping[str, int]:
        equal = 0
        for old in bundles:
            new = read_bundle(after, f"{old.prefix}.index", job.work.limits)
            kept = old.entries.keys() - old.dropped
            if new.entries.keys() != kept:
                raise UnprovedError(f"{old.prefix}.index: the result has other keys")
            for key in sorted(kept):
                one, other = old.entries[key], new.entries[key]
                same = (one.dtype, one.shape, one.size, one.crc32c) == (
                    other.dtype,
                    other.shape,
                    other.size,
                    other.crc32c,
                )
                if key not in old.replaced and not (same and list(one.slices) == list(other.slices)):
                    raise UnprovedError(
                        f"{old.prefix}.index: the entry {key.decode('utf-8', 'replace')} differs in the"
                        " result"
                    )
                if digest(old, key) != digest(new, key):
                    raise UnprovedError(f"the bytes of {key.decode('utf-8', 'replace')} differ in the result")
                equal += 1
        for name in copied:
            before, made = job.files.open(name), after.open(name)
            if before.size != made.size or any(
                before.read_at(at, n) != made.read_at(at, n) for at, n in _runs(before.size)
            ):
                raise UnprovedError(f"{name} differs in the result")
        return {"protobuf": equal}

    return witness


def _runs(size: int) -> list[tuple[int, int]]:
    return [(at, min(1 << 20, size - at)) for at in range(0, size, 1 << 20)]
