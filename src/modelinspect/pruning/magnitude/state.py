"""The state of a pruning run: its step, schedule and masks, in an .npz file that any backend reads."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from modelinspect.core.replacing import replacing
from modelinspect.errors import OutputError
from modelinspect.pruning.errors import JobError, PruningError
from modelinspect.pruning.schedules import Schedule
from modelinspect.pruning.selection import Pattern

VERSION = 1
MAX_HEADER = 16 * 2**20


class KernelState(Struct, frozen=True):
    """A pruned kernel: its name in the model, its shape and its target."""

    path: str
    shape: tuple[int, ...]
    target: float


class PruningState(Struct, frozen=True):
    """Everything but the masks."""

    version: int
    step: int
    schedule: Schedule
    pattern: Pattern
    kernels: tuple[KernelState, ...]


def write_state(place: Path, state: PruningState, masks: list[Any]) -> None:
    """Write the state whole or not at all; masks (boolean arrays, or None where none was set yet) take one
    bit an element.
    """
    arrays = {f"mask_{at}": np.packbits(mask) for at, mask in enumerate(masks) if mask is not None}
    header = np.frombuffer(msgspec.json.encode(state), "uint8")
    try:
        with replacing(place, "wb") as stream:
            np.savez(stream, header=header, **arrays)  # type: ignore[arg-type]
    except OSError as problem:
        raise OutputError(f"{place}: {problem.strerror or problem}") from problem


def read_state(place: Path) -> tuple[PruningState, list[Any]]:
    """Read a state and its masks.

    Raises `JobError` where the file is missing, `PruningError` where it is not such a state.
    """
    try:
        with np.load(place, allow_pickle=False) as archive:
            header = archive["header"]
            if header.dtype != np.uint8 or header.nbytes > MAX_HEADER:
                raise PruningError(f"{place}: not a pruning state of modelinspect")
            state = msgspec.json.decode(header.tobytes(), type=PruningState)
            if state.version != VERSION:
                raise PruningError(
                    f"{place}: version {state.version} of the pruning state; this modelinspect reads"
                    f" {VERSION}"
                )
            return state, [_mask(archive, at, kernel.shape) for at, kernel in enumerate(state.kernels)]
    except FileNotFoundError as problem:
        raise JobError(f"{place}: no such file") from problem
    except (
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
        EOFError,
        zipfile.BadZipFile,
        msgspec.MsgspecError,
    ) as problem:
        raise PruningError(f"{place}: not a pruning state of modelinspect") from problem


def check_state(place: Path, state: PruningState, pattern: Pattern, kernels: tuple[KernelState, ...]) -> None:
    """Raise `JobError` where a state belongs to another model or to other settings."""
    if state.pattern != pattern:
        raise JobError(f"{place}: the state was made with another pattern")
    saved = {kernel.path: kernel for kernel in state.kernels}
    for kernel in kernels:
        before = saved.pop(kernel.path, None)
        if before is None:
            raise JobError(
                f"{place}: the state has no kernel {kernel.path!r}; was it made for another model?"
            )
        if before != kernel:
            raise JobError(
                f"{place}: {kernel.path} has the shape {kernel.shape} and the target {kernel.target:g}, "
                f"in the state {before.shape} and {before.target:g}"
            )
    if saved:
        raise JobError(f"{place}: the state prunes {next(iter(saved))!r}, which is not pruned now")


def _mask(archive: Any, at: int, shape: tuple[int, ...]) -> Any:
    if f"mask_{at}" not in archive:
        return None
    size = 1
    for length in shape:
        size *= length
    packed = archive[f"mask_{at}"]
    if packed.dtype != np.uint8 or packed.shape != (-(-size // 8),):
        raise ValueError("a mask of another size")
    return np.unpackbits(packed, count=size).reshape(shape).astype(bool)
