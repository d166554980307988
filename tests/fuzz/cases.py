"""The inputs of fuzzing: a few files with names, packed into one run of bytes, and what they begin with."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelinspect.errors import ModelInspectError
from modelinspect.formats.registry import parse
from modelinspect.sources.files import MemoryFiles
from tests.fuzz.mutators.choose import mutate
from tests.support.fixtures import FOLDER, fixture_names
from tests.support.hostile import load

_MAGIC = b"CASE"
CORPUS = Path(__file__).parent / "corpus"
LARGEST_SEED = 40_000
"""Fixtures above are no seeds: what is small is read hundreds of times a second."""


@dataclass(frozen=True)
class Case:
    """Files in memory; ``primary`` is the one that is opened, None for a folder."""

    files: tuple[tuple[str, bytes], ...]
    primary: str | None

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(len(data) for _, data in self.files)

    def open(self) -> Files:
        """Return the files as an artifact's."""
        return Files(dict(self.files), self.primary)

    def mutated(self, rng: random.Random) -> Case:
        """Return a case of which one file is changed, the primary one most often."""
        names = [name for name, _ in self.files]
        chosen = self.primary if self.primary is not None and rng.random() < 0.6 else rng.choice(names)
        return Case(
            tuple((name, mutate(data, rng) if name == chosen else data) for name, data in self.files),
            self.primary,
        )


class Files(MemoryFiles):
    """Files of a case; a folder of one file has no primary."""

    def __init__(self, files: dict[str, bytes], primary: str | None) -> None:
        super().__init__(files, primary, "case")
        self.primary = primary


def pack(case: Case) -> bytes:
    """Return a case as one run of bytes."""
    names = [name for name, _ in case.files]
    out = bytearray(_MAGIC)
    out += bytes((len(names), 0 if case.primary is None else names.index(case.primary) + 1))
    for name, data in case.files:
        text = name.encode("utf-8", "surrogateescape")
        out += len(text).to_bytes(2, "little") + len(data).to_bytes(4, "little") + text
    return bytes(out) + b"".join(data for _, data in case.files)


def unpack(data: bytes) -> Case:
    """Return the case of packed bytes; what was not packed is one file named ``model``."""
    if data[:4] != _MAGIC or len(data) < 6:
        return Case((("model", data),), "model")
    count, primary = data[4], data[5]
    at = 6
    heads: list[tuple[str, int]] = []
    for _ in range(count):
        length, size = (
            int.from_bytes(data[at : at + 2], "little"),
            int.from_bytes(data[at + 2 : at + 6], "little"),
        )
        heads.append((data[at + 6 : at + 6 + length].decode("utf-8", "surrogateescape"), size))
        at += 6 + length
    files: list[tuple[str, bytes]] = []
    for name, size in heads:
        files.append((name, data[at : at + size]))
        at += size
    if not files:
        return Case((("model", b""),), "model")
    return Case(tuple(files), files[(primary - 1) % len(files)][0] if primary else None)


def corpus() -> list[tuple[str, Case]]:
    """Return the recorded inputs by name: whatever reached something new in one family is tried in all."""
    return [(path.name, unpack(path.read_bytes())) for path in sorted(CORPUS.glob("*"))]


def seeds() -> Iterator[tuple[str, Case]]:
    """Yield the fixtures that are small enough, each with the files that belong to it."""
    for name in fixture_names():
        path = FOLDER / name
        files = load(path)
        try:
            members = [member.name for member in parse(files).members]
        except ModelInspectError:
            members = list(files.names())
        kept = tuple((member, files._files[member]) for member in members if member in files._files)
        case = Case(kept, files.primary if files.primary in members else None)
        if kept and case.size <= LARGEST_SEED and len(kept) < 256:
            yield name, case
