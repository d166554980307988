"""Shrink safetensors: headers and the index of shards without white space.

The format has no compression, no gaps and no two tensors in one place, so the bytes of tensors stay as they
are (https://github.com/huggingface/safetensors, README, "Format").
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelinspect.core.limits import MIB
from modelinspect.formats.safetensors.header import LENGTH, header_size
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.shrinking.steps import Job, NotShrinkableError, StepName, Witness
from modelinspect.shrinking.zip_files import copy_source
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet

_FILE, _INDEX = ".safetensors", ".safetensors.index.json"
_ALIGNMENT = 8
_INDEX_MOST = 256 * MIB


def shrink_safetensors(job: Job) -> Witness:
    """Write a file or a folder of shards again. Raises `NotShrinkableError`."""
    primary = job.files.primary
    if primary is not None and primary.endswith(_INDEX):
        raise NotShrinkableError(f"{primary}: is the index of a model in several files; name its folder")
    names = [primary] if primary is not None else list(job.files.names())
    written = [name for name in names if primary is not None or name.endswith((_FILE, _INDEX))]
    saved = 0
    for name in names:
        source, target = job.files.open(name), job.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name not in written:
            copy_source(source, target)
        elif name.endswith(_INDEX):
            target.write_bytes(_compact(_text(source)))
        else:
            _write_file(source, target, job)
        saved += source.size - target.stat().st_size
    job.work.add(StepName.COMPACT_JSON, saved, note="headers and indexes without white space")

    def witness(after: FileSet) -> Mapping[str, int]:
        for name in names:
            if name not in written and _digest(job.files.open(name), 0) != _digest(after.open(name), 0):
                raise UnprovedError(f"{name} differs in the result")
        return {"json": sum(_compare(job.files.open(name), after.open(name), name) for name in written)}

    return witness


def _write_file(source: Source, target: Path, job: Job) -> None:
    text, begin = _header(source)
    header = _compact(text)
    header += b" " * (-len(header) % _ALIGNMENT)
    with target.open("wb") as out:
        out.write(len(header).to_bytes(LENGTH, "little") + header)
        for at in range(begin, source.size, MIB):
            block = source.read_at(at, min(MIB, source.size - at))
            out.write(block)
            job.work.tick(len(block))


def _header(source: Source) -> tuple[Any, int]:
    """Return what the header says, and where the elements begin."""
    size = header_size(source.read_at(0, min(LENGTH + 1, source.size)))
    if size is None or LENGTH + size > source.size:
        raise NotShrinkableError(f"{source.name}: has no header")
    return _load(source.read_at(LENGTH, size), source.name), LENGTH + size


def _text(source: Source) -> Any:
    if source.size > _INDEX_MOST:
        raise NotShrinkableError(f"{source.name}: has {source.size:,} bytes, too many for an index")
    return _load(source.read_at(0, source.size), source.name)


def _load(data: bytes, name: str) -> Any:
    """Return JSON. Raises `NotShrinkableError` where readers may disagree about it."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in found}) < len(found):
            raise NotShrinkableError(f"{name}: has a key twice")
        return dict(found)

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=pairs)
    except (ValueError, RecursionError) as error:
        raise NotShrinkableError(f"{name}: the json module does not read it: {error}") from error


def _compact(value: Any) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(value, separators=(",", ":")).encode()


def _compare(before: Source, after: Source, name: str) -> int:
    """Compare two files as the json module reads them, and the bytes of every tensor.

    Returns how many tensors, or entries of an index, are equal.
    """
    if name.endswith(_INDEX):
        old, new = _text(before), _text(after)
        at = (0, 0)
    else:
        (old, first), (new, second) = _header(before), _header(after)
        at = (first, second)
    if json.dumps(old) != json.dumps(new):
        raise UnprovedError(f"{name} says something else in the result")
    if at != (0, 0) and _digest(before, at[0]) != _digest(after, at[1]):
        raise UnprovedError(f"the tensors of {name} have other bytes in the result")
    listed = old.get("weight_map", old) if isinstance(old, dict) else ()
    return len(listed)


def _digest(source: Source, begin: int) -> str:
    found = hashlib.sha256()
    for block in _blocks(source, begin):
        found.update(block)
    return found.hexdigest()


def _blocks(source: Source, begin: int) -> Iterator[bytes]:
    for at in range(begin, source.size, MIB):
        yield source.read_at(at, min(MIB, source.size - at))
