"""Cuts and changes artifacts, to see that any bytes give a map or a clear error."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelinspect.core.artifact import Artifact
from modelinspect.errors import ModelInspectError
from modelinspect.formats.registry import parse
from modelinspect.sources.files import MemoryFiles
from tests.support.work import CALLS, calls_of

SECONDS = 2.0
"""What one hostile input may take, in processor time: other work on the machine does not
count.
"""
MEMORY = 200 * 2**20
"""How far the peak of memory may rise over a run of hostile inputs, in bytes."""


def load(path: Path) -> MemoryFiles:
    """Read an artifact into memory: a file with those beside it that share its stem, a directory, or a
    checkpoint prefix.
    """
    if path.is_dir():
        files = {
            p.relative_to(path).as_posix(): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()
        }
        return (
            MemoryFiles(files, None, str(path)) if len(files) != 1 else OneFileFolder(files, None, str(path))
        )
    if not path.exists():
        path = path.with_name(path.name + ".index")
    beside = {p.name: p.read_bytes() for p in sorted(path.parent.iterdir()) if p.is_file()}
    return MemoryFiles(beside, path.name, str(path))


class OneFileFolder(MemoryFiles):
    """A folder that holds one file: it has no primary."""

    def names(self) -> tuple[str, ...]:
        self.primary = None
        return super().names()


def with_bytes(files: MemoryFiles, name: str, data: bytes) -> MemoryFiles:
    """Return the same files with other bytes in one of them."""
    return type(files)({**files._files, name: data}, files.primary, files.location)


def mutations(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield changed copies: bits flipped, bytes set to borders, numbers made huge, runs cut, doubled or
    moved.
    """
    rng = random.Random(seed)
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
            if changed:
                _change(changed, rng)
        yield bytes(changed)


def _change(data: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(data))
    match rng.randrange(7):
        case 0:
            data[place] ^= 1 << rng.randrange(8)
        case 1:
            data[place] = rng.choice((0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF))
        case 2:
            width = rng.choice((2, 4, 8))
            value = rng.choice(
                (
                    0,
                    1,
                    2 ** (8 * width) - 1,
                    2 ** (8 * width - 1),
                    len(data),
                    len(data) - 1,
                    rng.getrandbits(8 * width),
                )
            )
            data[place : place + width] = (value % 256**width).to_bytes(width, rng.choice(("little", "big")))[
                : len(data) - place
            ]
        case 3:
            del data[place : place + rng.choice((1, 2, 8, 64))]
        case 4:
            data[place:place] = data[place : place + rng.choice((1, 2, 8, 64))]
        case 5:
            other, size = rng.randrange(len(data)), rng.choice((1, 4, 8, 32))
            run = bytes(data[other : other + size])
            data[place : place + len(run)] = run
        case _:
            data[place : place + 8] = bytes(min(8, len(data) - place))


@dataclass
class Outcome:
    """How many inputs gave a map and how many a `ModelInspectError`."""

    maps: int = 0
    errors: int = 0


def hold(
    inputs: Iterator[tuple[str, MemoryFiles]], look: Callable[[MemoryFiles], Artifact] = parse
) -> Outcome:
    """Give every input to ``look``; raise where one is slow, heavy or gives anything but a map or a
    `ModelInspectError`.
    """
    outcome = Outcome()
    before = _peak()
    for label, files in inputs:
        began = time.process_time()
        try:
            artifact = look(files)
        except ModelInspectError as error:
            assert "\n" not in str(error), f"{label}: the error has more than one line"
            outcome.errors += 1
        except BaseException as error:
            raise AssertionError(f"{label}: {type(error).__name__}: {error}") from error
        else:
            require_whole(artifact, label)
            outcome.maps += 1
        if time.process_time() - began > SECONDS:  # a busy machine is slow, too: calls decide
            assert calls_of(lambda files=files: look(files)) < CALLS, label
        assert _peak() - before < MEMORY, f"{label}: memory rose by {(_peak() - before) / 2**20:.0f} MiB"
    return outcome


def require_whole(artifact: Artifact, label: str) -> None:
    """Fail where bytes are unattributed and no diagnostic says why."""
    unattributed = sum(
        int(member.map.columns.sizes[member.map.columns.kinds == 9].sum()) for member in artifact.members
    )
    assert not unattributed or artifact.diagnostics, (
        f"{label}: {unattributed} bytes are unattributed and nothing says why"
    )


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
