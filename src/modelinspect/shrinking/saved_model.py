"""Shrink SavedModels and checkpoints: their variables are stored once, in one shard, with a new index."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.core.names import FINGERPRINT_PB, SAVED_MODEL_PB
from modelinspect.core.tensors import Role
from modelinspect.errors import FormatError
from modelinspect.shrinking.bundle import Bundle, digest, read_bundle, shard_names, write_bundle
from modelinspect.shrinking.checkpoint_training import drop_optimizer
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.shrinking.saved_model_training import Dropped, drop_training, write_fingerprint
from modelinspect.shrinking.steps import Drop, Job, NotShrinkableError, StepName, Witness
from modelinspect.shrinking.zip_files import copy_source
from modelinspect.sources.files import FileSet

_VARIABLES = "variables/variables.index"

_STAYS = "the optimizer stays: {reason}; save the model without its optimizer instead"
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
    bundle = read_bundle(job.files, _VARIABLES, job.work.limits)
    dropped = _drop_training_of_model(job, bundle) if job.work.drops(Drop.TRAINING) else Dropped()
    _write(job, bundle, dropped.of_bundle)
    replaced = {_VARIABLES, *shard_names(job.files, bundle.prefix), *dropped.files}
    copied = _copy_others(job, replaced)
    for name, data in dropped.files.items():
        (job.folder / name).write_bytes(data)
    if FINGERPRINT_PB in copied:
        index = (job.folder / _VARIABLES).read_bytes()
        write_fingerprint(job, index, dropped.files.get(SAVED_MODEL_PB))
        copied.remove(FINGERPRINT_PB)
    compare = _witness(job, [bundle], copied)

    def witness(after: FileSet) -> Mapping[str, int]:
        found = dict(compare(after))
        for check in dropped.checks:
            found["protobuf"] += check(after)
        return found

    return witness


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
    _write(job, bundle, _drop_training(job, bundle) if job.work.drops(Drop.TRAINING) else 0)
    return bundle


def _write(job: Job, bundle: Bundle, dropped: int) -> None:
    """Write a bundle again of which ``dropped`` bytes went."""
    old = bundle.index_size + sum(job.files.open(name).size for name in shard_names(job.files, bundle.prefix))
    write_bundle(bundle, job.folder, job.work, old - dropped)


def _drop_training(job: Job, bundle: Bundle) -> int:
    """Drop the optimizer's entries of a checkpoint and return their bytes."""
    work = job.work
    _note_wrappers(job)
    dropped = drop_optimizer(bundle, job.artifact)
    work.add(
        StepName.STRIP_OPTIMIZER,
        dropped,
        Drop.TRAINING,
        "entries of the optimizer, and its slots in the object graph",
    )
    work.changed_documents = work.changed_documents or bool(bundle.replaced)
    return dropped


def _drop_training_of_model(job: Job, bundle: Bundle) -> Dropped:
    """Drop what only training needs of a SavedModel; where that cannot be, say why, and drop nothing."""
    work = job.work
    _note_wrappers(job)
    try:
        dropped = drop_training(job, bundle)
    except (NotShrinkableError, FormatError) as reason:
        work.notes.append(_STAYS.format(reason=reason))
        return Dropped()
    work.add(
        StepName.STRIP_OPTIMIZER,
        dropped.of_bundle + dropped.of_graph,
        Drop.TRAINING,
        "variables of the optimizer, and what saves and restores them in the graph",
    )
    work.changed |= dropped.changed
    work.changed_documents = bool(dropped.files)
    return dropped


def _note_wrappers(job: Job) -> None:
    pruned = any(tensor.role is Role.PRUNING for tensor in job.artifact.tensors)
    if pruned and _WRAPPERS_STAY not in job.work.notes:
        job.work.notes.append(_WRAPPERS_STAY)


def _copy_others(job: Job, replaced: set[str]) -> list[str]:
    """Copy the files that stay as they are and return their names."""
    names = [name for name in job.files.names() if name not in replaced]
    for name in names:
        target = job.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_source(job.files.open(name), target)
    return names


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
