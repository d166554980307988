"""Shrink TensorFlow.js models: one file of weights for each group, and a description without white space.

A manifest gives weights no offsets (tfjs-core/src/io/weights_loader.ts): they follow one another in the files
of their group. Equal weights could only share bytes as files of their own that two groups name, which
browsers would fetch twice, so they are left alone.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from posixpath import basename, normpath
from typing import Any

from modelinspect.core.artifact import DocumentKind
from modelinspect.core.limits import MIB
from modelinspect.reports.wording import plural
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.shrinking.steps import Drop, Job, NotShrinkableError, StepName, Witness
from modelinspect.shrinking.zip_files import copy_source
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet

_MANIFEST, _TRAINING = "weightsManifest", "trainingConfig"
PACKED = (".gz", ".br")
"""What a server sends in place of a file to browsers that accept it."""


def shrink_tfjs(job: Job) -> Witness:
    """Write a model again. Raises `NotShrinkableError`."""
    if job.files.primary is not None:
        raise NotShrinkableError(
            f"{job.files.primary}: is one file of a TensorFlow.js model; name its folder"
        )
    description = next(
        (each.stream.member for each in job.artifact.documents if each.kind is DocumentKind.TFJS_MODEL), None
    )
    if description is None:
        raise NotShrinkableError("it has no description of the model")
    old = _load(job.files.open(description))
    groups = _groups(old)
    new = json.loads(json.dumps(old))
    dropped = job.work.drops(Drop.TRAINING) and _drop_training(new)
    if dropped:
        saved = len(_compact(old)) - len(_compact(new))
        job.work.add(StepName.STRIP_TRAINING_CONFIG, saved, Drop.TRAINING, "the training configuration")
        job.work.changed_documents = True
    merged: dict[str, tuple[str, ...]] = {}
    for number, (paths, group) in enumerate(zip(groups, _entries(new), strict=True), start=1):
        name = paths[0] if len(paths) == 1 else f"group{number}-shard1of1.bin"
        if len(paths) > 1 and name in job.files.names() and name not in paths:
            raise NotShrinkableError(f"{name} exists and is not a file of its group")
        group["paths"] = [name]
        merged[normpath(name)] = paths
    text = _compact(new)
    source = job.files.open(description)
    changed = any(len(paths) > 1 for paths in merged.values()) or text != source.read_at(0, source.size)
    _write(job.folder / description, text)
    for name, paths in merged.items():
        _merge(job, paths, job.folder / name)
    gone = {description, *(normpath(path) for paths in groups for path in paths)}
    stale = {f"{name}{suffix}" for name in gone for suffix in PACKED} if changed else set()
    others = [name for name in job.files.names() if name not in gone | stale]
    for name in others:
        target = job.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_source(job.files.open(name), target)
    _record(job, source.size - len(text) - (saved if dropped else 0), groups, stale)

    def witness(after: FileSet) -> Mapping[str, int]:
        return {"json": _compare(job.files, after, description, merged, others, dropped)}

    return witness


def _drop_training(description: Any) -> bool:
    """Take the training configuration out of a description, where TensorFlow.js or its converter puts it, and
    return whether there was one.
    """
    found = False
    topology = description.get("modelTopology") if isinstance(description, dict) else None
    for holder, name in ((description, _TRAINING), (topology, "training_config")):
        if isinstance(holder, dict) and name in holder:
            del holder[name]
            found = True
    return found


def _record(job: Job, saved: int, groups: list[tuple[str, ...]], stale: set[str]) -> None:
    shards = sum(len(paths) for paths in groups)
    many = shards > len(groups)
    note = (
        f"{shards:,} weights files as {len(groups):,}, the description without white space"
        if many
        else "without white space"
    )
    job.work.add(StepName.MERGE_SHARDS if many else StepName.COMPACT_JSON, saved, note=note)
    packed = [name for name in job.files.names() if name in stale]
    if packed:
        size = sum(job.files.open(name).size for name in packed)
        job.work.add(StepName.DROP_UNREFERENCED, size, note="compressed forms of files that changed")
        job.work.notes.append(
            f"left out, because they hold the old files: {', '.join(packed)}; --precompress writes new ones"
        )


def precompress(folder: Path, level: int) -> list[str]:
    """Write a ``.gz`` and a ``.br`` beside every file of a model and return a line for each of the two, with
    its bytes.
    """
    import cramjam

    sizes = dict.fromkeys(PACKED, 0)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in PACKED)
    for path in files:
        data = path.read_bytes()
        for suffix, packed in (
            (".gz", gzip.compress(data, level, mtime=0)),
            (".br", bytes(cramjam.brotli.compress(data, level=11))),
        ):
            path.with_name(path.name + suffix).write_bytes(packed)
            sizes[suffix] += len(packed)
    return [
        f"{plural(len(files), 'file')} also compressed as {suffix}: {size:,} bytes"
        for suffix, size in sizes.items()
    ]


def _load(source: Source) -> Any:
    """Return the description. Raises `NotShrinkableError` where JSON readers may disagree about it."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in found}) < len(found):
            raise NotShrinkableError(f"{source.name}: has a key twice")
        return dict(found)

    try:
        return json.loads(source.read_at(0, source.size).decode("utf-8"), object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise NotShrinkableError(f"{source.name}: the json module does not read it: {error}") from error


def _entries(description: Any) -> list[dict[str, Any]]:
    found = description.get(_MANIFEST) if isinstance(description, dict) else description
    if not isinstance(found, list) or not all(isinstance(group, dict) for group in found):
        raise NotShrinkableError("it has no manifest of weights")
    return found


def _groups(description: Any) -> list[tuple[str, ...]]:
    """Return the paths of each group.

    Raises `NotShrinkableError` where a file is named twice or is not in the folder itself.
    """
    found: list[tuple[str, ...]] = []
    for group in _entries(description):
        paths = group.get("paths")
        if (
            not isinstance(paths, list)
            or not paths
            or not all(isinstance(path, str) and basename(path) == path for path in paths)
        ):
            raise NotShrinkableError("a group of weights has no paths, or paths in other folders")
        found.append(tuple(paths))
    names = [path for paths in found for path in paths]
    if len(set(names)) < len(names):
        raise NotShrinkableError("a weights file is named twice")
    return found


def _compact(value: Any) -> bytes:
    """Return JSON without white space; floats as Python writes them, which read back as the same numbers."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(value, separators=(",", ":")).encode()


def _write(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def _merge(job: Job, paths: tuple[str, ...], target: Path) -> None:
    with target.open("wb") as out:
        for block in _bytes(job.files, paths):
            out.write(block)
            job.work.tick(len(block))


def _bytes(files: FileSet, paths: tuple[str, ...]) -> Iterator[bytes]:
    for path in paths:
        source = files.open(normpath(path))
        for at in range(0, source.size, MIB):
            yield source.read_at(at, min(MIB, source.size - at))


def _compare(
    before: FileSet,
    after: FileSet,
    description: str,
    merged: Mapping[str, tuple[str, ...]],
    others: list[str],
    dropped: bool,
) -> int:
    """Compare the descriptions as the json module reads them, the weights of every group, and all other files
    byte by byte.
    """
    old, new = (_load(files.open(description)) for files in (before, after))
    if dropped:
        _drop_training(old)
    for group, (name, _) in zip(_entries(old), merged.items(), strict=True):
        group["paths"] = [name]
    if json.dumps(old, sort_keys=False) != json.dumps(new, sort_keys=False):
        raise UnprovedError(f"{description} says something else in the result")
    for name, paths in [*merged.items(), *((name, (name,)) for name in others)]:
        if _digest(before, paths) != _digest(after, (name,)):
            raise UnprovedError(f"{name} holds other bytes in the result")
    return 1 + len(merged) + len(others)


def _digest(files: FileSet, paths: tuple[str, ...]) -> str:
    found = hashlib.sha256()
    for block in _bytes(files, paths):
        found.update(block)
    return found.hexdigest()
