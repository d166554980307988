"""The artifacts that a scan is to inspect: found below roots in one listing, or named one by one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from modelinspect.core.limits import MIB, Limits
from modelinspect.formats.discovery import companions, discover
from modelinspect.sources.listing import open_folder
from modelinspect.sources.opening import open_location
from modelinspect.version import VERSION

_BLOB = re.compile(r"(?:^|/)models--[^/]+/blobs/[0-9a-f]{40,64}$")
"""Files of the Hugging Face cache by their hashes; the links of snapshots lead to them."""
_UNKNOWN_SIZE = MIB
"""What an artifact of unknown size counts when artifacts are handed out together."""
_BATCH_SIZE = 16 * MIB
"""Bytes of artifacts that are handed out together; a larger one goes by itself."""
MOST = 64
"""Artifacts that are handed out together at most: what a worker does again when one of them ends it."""


@dataclass(frozen=True, slots=True)
class Task:
    """An artifact to inspect.

    ``order`` sorts tasks as the roots and the names below them are sorted. ``size`` (bytes) and ``mark`` are
    those of the listing, None where there was none. Where ``is_named`` is false, the first bytes have to say
    whether it is a model. ``known`` is the state of the same artifact in an earlier scan (`state_of`), None
    where it has to be inspected.
    """

    location: str
    order: tuple[int, str]
    size: int | None = None
    mark: str | None = None
    is_named: bool = True
    known: int | None = None


@dataclass(slots=True)
class Search:
    """Finds tasks, and counts the files that are not models by their names."""

    roots: Sequence[str]
    locations: Iterable[str | os.PathLike[str]] = ()
    limits: Limits | None = None
    skipped: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Raise `ModelInspectError` where a root cannot be opened, before anything is inspected."""
        for root in self.roots:
            open_location(root, self.limits).close()

    def tasks(self) -> Iterator[Task]:
        """Yield each artifact once, folder by folder; only the names of one are held.

        Raises `ModelInspectError`.
        """
        once = len(self.roots) < 2 and not self.locations  # one root names nothing twice
        seen: set[bytes] = set()
        for task in self._all():
            if not once:
                key = blake2b(os.fsencode(task.location), digest_size=16).digest()
                if key in seen:
                    continue
                seen.add(key)
            yield task

    def _all(self) -> Iterator[Task]:
        for number, root in enumerate(self.roots):
            yield from self._below(number, root)
        for number, location in enumerate(self.locations, len(self.roots)):
            yield Task(os.fspath(location), (number, ""))

    def _below(self, number: int, root: str) -> Iterator[Task]:
        base = root.rstrip("/") or "/"
        with open_location(root, self.limits) as files:
            folder = open_folder(files)
            if folder is None:
                yield Task(root, (number, ""))
                return
            for found in discover(folder, self._skip):
                location = base if found.name == "." else f"{base.rstrip('/')}/{found.name}"
                if not found.is_named and _BLOB.search(location):
                    self.skipped += 1
                    continue
                size = sum(file.size for file in found.members)
                yield Task(location, (number, found.name), size, mark_of(found.members), found.is_named)

    def _skip(self, count: int) -> None:
        self.skipped += count


def mark_of(members: Iterable[tuple[str, int, str]]) -> str:
    """Return what changes when a file of an artifact is written again: a hash of names, sizes and marks, 32
    hexadecimal digits.
    """
    digest = blake2b(digest_size=16)
    for name, size, mark in sorted(members):
        digest.update(f"{name}\0{size}\0{mark}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def state_of(mark: str, options: str) -> int:
    """Return a number for the state of an artifact: another one after a change of the artifact, this version
    or the options of the scan.
    """
    return digest_of(f"{mark}\0{VERSION}\0{options}")


def digest_of(value: str) -> int:
    """Return a hash of 64 bits that is not 0."""
    return (
        int.from_bytes(blake2b(value.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "little")
        or 1
    )


def current_mark(location: str, limits: Limits | None = None) -> str:
    """Return the mark of an artifact that was named and not listed. Raises `ModelInspectError`."""
    with open_location(location, limits) as files:
        belongs = companions(files.primary) if files.primary is not None else None
        beside = [name for name in files.neighbours() if belongs(name)] if belongs is not None else []
        return mark_of(files.members(beside))


def batches(tasks: Iterator[Task], workers: int, most: int = MOST) -> Iterator[tuple[Task, ...]]:
    """Yield tasks in groups that are handed out together: single ones first, so a short scan uses every
    worker, then up to ``most``.
    """
    batch: list[Task] = []
    size = 0
    count = 0
    for task in tasks:
        batch.append(task)
        size += _UNKNOWN_SIZE if task.size is None else task.size
        if size >= _BATCH_SIZE or len(batch) >= min(most, 1 + count // (2 * workers)):
            yield tuple(batch)
            count += 1
            batch, size = [], 0
    if batch:
        yield tuple(batch)
