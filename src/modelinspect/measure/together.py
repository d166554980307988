"""Count the zeros of many tensors in one read: those that are near each other and hold elements of one type.

A tensor of some kilobytes costs more calls than bytes. Tensors of a type are taken in the order of the file,
as many at a time as a block holds; one read brings them in with what little is between, and one comparison
finds all their zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from modelinspect.core.artifact import Artifact
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import ByteOrder, Quantization, RawPayload, Tensor
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import Numbers, Reading, UnmeasurableError
from modelinspect.measure.facts import TensorMeasure
from modelinspect.measure.zeros import count_zeros, has_plain_zeros, lack_zeros, negative_zeros_of

BLOCK = 1024 * 1024
"""Bytes of one read at most; what is larger is read by itself."""

GAP = 8 * 1024
"""Bytes between two tensors that are rather read than skipped."""

Place = tuple[int, int, int]
"""Where a tensor begins and ends in its stream, and its id."""


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
    their elements.

    What is missing is for `measure` to read by itself: other tensors, and those whose read failed, so the one
    at fault is named. Raises `SourceChangedError` where a file shrinks meanwhile.
    """
    counted = _Counted({}, {})
    for group in _groups(artifact.tensors):
        try:
            source = reading.files.open_stream(group.payload.stream)
        except FormatError:
            continue
        for places in _runs(group):
            begin, end = places[0][0], max(place[1] for place in places)
            try:
                buffer = reading.take(end - begin)
                source.read_into(begin, buffer)
            except FormatError:
                continue
            counted.add(group, places, np.frombuffer(buffer, dtype=f"<u{group.size}"))
            done(sum(artifact.tensors[place[2]].logical_size for place in places))
    return counted.measures


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
        if 0 < needed <= min(span.size, BLOCK):
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


def _runs(group: _Group) -> Iterator[list[Place]]:
    """Yield the tensors of each read: near each other, a whole number of elements apart."""
    run: list[Place] = []
    first = reach = 0
    for place in sorted(group.places):
        begin, end, _ = place
        if run and (begin > reach + GAP or end > first + BLOCK or (begin - first) % group.size):
            yield run
            run = []
        if not run:
            first, reach = begin, end
        elif end > reach:
            reach = end
        run.append(place)
    if run:
        yield run


@dataclass(slots=True)
class _Counted:
    """The measures so far; equal ones are made once."""

    measures: dict[int, TensorMeasure]
    known: dict[tuple[int, int, int], TensorMeasure]

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
            measure = self.known.get(counts)
            if measure is None:
                measure = self.known[counts] = TensorMeasure(*counts)
            self.measures[index] = measure
