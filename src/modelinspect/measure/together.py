"""Count the zeros of many tensors in one read: those that are near each other and hold elements of one type.

A tensor of some kilobytes costs more calls than bytes. Tensors of a type are taken in the order of the file,
as many at a time as a block holds; one read brings them in with what little is between, and one comparison
finds all their zeros. A larger tensor is cut into blocks. Where there are many bytes, the next are read while
these are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing

import numpy as np

from modelinspect.core.artifact import Artifact
from modelinspect.core.limits import MIB
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import ByteOrder, Quantization, RawPayload, Tensor
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import BLOCK_SIZE, Numbers, Reading, UnmeasurableError
from modelinspect.measure.facts import TensorMeasure
from modelinspect.measure.zeros import count_zeros, has_plain_zeros, lack_zeros, negative_zeros_of
from modelinspect.sources.base import Source

BLOCK = MIB
"""Bytes of one read of several tensors at most."""

AHEAD = 2 * MIB
"""Bytes of a read at most where it is read ahead: fewer and larger ones, because each is handed over."""

GAP = 8 * 1024
"""Bytes between two tensors that are rather read than skipped."""

MANY = 512 * MIB
"""Bytes of elements from which on a thread that reads is worth its start, which takes some 20 ms."""

Place = tuple[int, int, int]
"""Where a tensor, or a part of one, begins and ends in its stream, and its id."""


@dataclass(slots=True)
class _Group:
    """Tensors of one element type in one stream."""

    tensor: Tensor
    payload: RawPayload
    size: int
    places: list[Place]


def measure_together(
    artifact: Artifact, reading: Reading, done: Callable[[int], None]
) -> dict[int, TensorMeasure]:
    """Return the measures of the tensors that can be read together, by id; ``done`` receives the bytes of
    their elements, in the thread that calls this.

    What is missing is for `measure` to read by itself: other tensors, and those whose read failed, so the one
    at fault is named. Raises `SourceChangedError` where a file shrinks meanwhile.
    """
    counted = _Counted()
    limits = reading.limits
    for group in _groups(artifact.tensors):
        try:
            source = reading.files.open_stream(group.payload.stream)
        except FormatError:
            continue
        with closing(_reads(group, source, reading)) as reads:
            for places, part in reads:
                limits.look_at_clock(source.name)
                if part is None:
                    counted.leave_out(places)
                    continue
                counted.add(group, places, np.frombuffer(part, dtype=f"<u{group.size}"))
                done(sum(end - begin for begin, end, _ in places))
    return counted.measures()


def _reads(
    group: _Group, source: Source, reading: Reading
) -> Generator[tuple[list[Place], memoryview | None]]:
    """Yield the tensors of each read with their bytes, or with None where they cannot be read."""

    def read(places: list[Place], buffer: memoryview) -> memoryview | None:
        part = buffer[: _width(places)]
        try:
            source.read_into(places[0][0], part)
        except FormatError:
            return None
        return part

    most = reading.limits.block_size
    if source.can_be_read_ahead and sum(end - begin for begin, end, _ in group.places) >= MANY:
        from modelinspect.measure.ahead import read_ahead  # most files are small, and start without threads

        block = min(AHEAD, most)
        yield from read_ahead(_runs(group, block, block, source.size), block, read)
        return
    for places in _runs(group, min(BLOCK, most), min(BLOCK_SIZE, most), source.size):
        yield places, read(places, reading.take(_width(places)))


def _width(places: list[Place]) -> int:
    return max(place[1] for place in places) - places[0][0]


def _groups(tensors: tuple[Tensor, ...]) -> Iterator[_Group]:
    """Yield the tensors that are in one piece of a file as they are in memory, by their element type and
    stream.
    """
    groups: dict[tuple[int, int, ByteOrder], _Group | None] = {}
    for index, tensor in enumerate(tensors):
        payload = tensor.payload
        if type(payload) is not RawPayload or len(payload.spans) != 1:
            continue
        # Types and streams are shared by the tensors of an artifact; equal ones that are not cost another
        # group and no more.
        key = (id(tensor.dtype), id(payload.stream), payload.byte_order)
        if key not in groups:
            groups[key] = _group(tensor, payload)
        group = groups[key]
        if group is None or (tensor.quantization is not None and _moves_zero(tensor.quantization)):
            continue
        span = payload.spans[0]
        needed = tensor.element_count * group.size
        if 0 < needed <= span.size:
            group.places.append((span.offset, span.offset + needed, index))
    yield from (group for group in groups.values() if group is not None)


def _moves_zero(quantization: Quantization) -> bool:
    """Return whether a stored 0 is not a zero."""
    return any(quantization.zero_points) or quantization.least is not None


def _group(tensor: Tensor, payload: RawPayload) -> _Group | None:
    try:
        plain = has_plain_zeros(tensor.dtype)
    except UnmeasurableError:
        return None
    return _Group(tensor, payload, tensor.dtype.bits // 8, []) if plain else None


def _runs(group: _Group, block: int, part: int, reach_of_source: int) -> Iterator[list[Place]]:
    """Yield what each read holds: at most ``block`` bytes of tensors near each other, a whole number of
    elements apart, or at most ``part`` bytes of one that is larger than a block.

    What the source ends before is left out.
    """
    step = part - part % group.size
    if step <= 0:
        return
    run: list[Place] = []
    first = reach = 0
    for place in sorted(group.places):
        begin, end, index = place
        if end > reach_of_source:
            continue
        if end - begin > block:
            for start in range(begin, end, step):
                yield [(start, min(start + step, end), index)]
            continue
        if run and (begin > reach + GAP or end > first + block or (begin - first) % group.size):
            yield run
            run = []
        if not run:
            first, reach = begin, end
        elif end > reach:
            reach = end
        run.append(place)
    if run:
        yield run


class _Counted:
    """What was counted so far."""

    def __init__(self) -> None:
        self._counts: dict[int, tuple[int, int, int]] = {}
        self._left_out: set[int] = set()

    def leave_out(self, places: list[Place]) -> None:
        """Forget tensors that cannot be read, or not whole."""
        self._left_out.update(place[2] for place in places)

    def add(self, group: _Group, places: list[Place], numbers: Numbers) -> None:
        """Count the zeros of the tensors of one read."""
        lacking = lack_zeros(numbers)
        negative = (
            negative_zeros_of(numbers, group.payload.byte_order)
            if group.tensor.dtype.has_negative_zero
            else None
        )
        start, size = places[0][0], group.size
        for begin, end, index in places:
            first, last = (begin - start) // size, (end - start) // size
            minus = 0 if negative is None else int(np.count_nonzero(negative[first:last]))
            zeros = minus if lacking else minus + count_zeros(numbers[first:last])
            counts = (last - first, zeros, minus)
            known = self._counts.get(index)
            self._counts[index] = (
                counts if known is None else (known[0] + counts[0], known[1] + zeros, known[2] + minus)
            )

    def measures(self) -> dict[int, TensorMeasure]:
        """Return the measures of all tensors that were read whole; equal ones are made once."""
        made: dict[tuple[int, int, int], TensorMeasure] = {}
        found: dict[int, TensorMeasure] = {}
        for index, counts in self._counts.items():
            if index in self._left_out:
                continue
            measure = made.get(counts)
            if measure is None:
                measure = made[counts] = TensorMeasure(*counts)
            found[index] = measure
        return found
