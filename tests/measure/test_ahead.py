"""What is read ahead comes in order, whatever thread reads it, and failures come to the one who waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from modelinspect.core.span import Span
from modelinspect.core.tensors import RawPayload, Stream, Tensor
from modelinspect.errors import SourceChangedError
from modelinspect.measure import ahead, together
from modelinspect.measure.ahead import read_ahead
from modelinspect.measure.run import measure
from modelinspect.sources.base import MemorySource
from modelinspect.sources.files import MemoryFiles
from tests.support.tensors import artifact_of, tensor

STREAM = Stream("m")


def _fill(item: int, buffer: memoryview) -> memoryview:
    buffer[:4] = bytes([item] * 4)
    return buffer[:4]


@pytest.mark.parametrize("processors", [1, 2])
def test_items_come_in_order_with_what_was_read(processors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_processors", lambda: processors)
    got = [(item, bytes(part or b"")) for item, part in read_ahead(iter(range(1, 200)), 16, _fill)]
    assert got == [(item, bytes([item] * 4)) for item in range(1, 200)]


@pytest.mark.parametrize("processors", [1, 2])
def test_it_reads_in_another_thread_where_there_are_two_processors(
    processors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_processors", lambda: processors)
    threads = set()

    def read(item: int, buffer: memoryview) -> memoryview:
        threads.add(threading.get_ident())
        return buffer

    assert len(list(read_ahead(iter(range(9)), 1, read))) == 9
    assert (threads == {threading.get_ident()}) is (processors == 1)


def test_it_reads_alone_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ahead, "_processors", lambda: 2)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert [item for item, _ in read_ahead(iter(range(5)), 4, _fill)] == list(range(5))


@pytest.mark.parametrize("processors", [1, 2])
@pytest.mark.parametrize("where", ["read", "items"])
def test_a_failure_is_raised_after_what_was_read_before_it(
    processors: int, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_processors", lambda: processors)

    def items() -> Iterator[int]:
        yield from range(3)
        if where == "items":
            raise OSError("items")
        yield 3

    def read(item: int, buffer: memoryview) -> memoryview:
        if item == 3:
            raise OSError("read")
        return buffer

    got = []
    with pytest.raises(OSError, match=where):
        got.extend(item for item, _ in read_ahead(items(), 1, read))
    assert got == [0, 1, 2][: 3 if where == "read" or processors == 1 else 2]  # the last is still read ahead


def test_who_stops_early_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_processors", lambda: 2)
    before = threading.active_count()
    reading = read_ahead(iter(range(10**9)), 4, _fill)
    assert next(reading)[0] == 0
    assert threading.active_count() == before + 1
    reading.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def _large(count: int, rest: int) -> tuple[list[Tensor], bytes]:
    """Make tensors of which some are larger than a block, with their bytes."""
    data = np.random.default_rng(3).integers(0, 3, count * 3 + rest, dtype=np.int32)
    data[5] = data[-1] = np.int32(-(2**31))  # -0.0 as a float
    sizes = [count, 7, count * 2, rest - 7]
    starts = np.cumsum([0, *sizes])
    items = [
        tensor("float32", (size,), RawPayload(STREAM, (Span(int(start) * 4, size * 4),)))
        for size, start in zip(sizes, starts, strict=False)
    ]
    return items, data.tobytes()


class Slow(MemorySource):
    """Bytes that are read as those of a file are; it remembers who read them."""

    __slots__ = ("reads",)

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data, name)
        self.reads: list[tuple[int, int]] = []

    @property
    def can_be_read_ahead(self) -> bool:
        return True

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.reads.append((threading.get_ident(), len(buffer)))
        super().read_into(offset, buffer)


class SlowFiles(MemoryFiles):
    def _open_source(self, name: str) -> Slow:
        return Slow(self._files[name], name)


@pytest.mark.parametrize("processors", [1, 2])
def test_large_tensors_are_counted_in_parts(processors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_processors", lambda: processors)
    items, data = _large(100_003, 50)
    monkeypatch.setattr(together, "BLOCK_SIZE", 0)
    alone = measure(artifact_of(*items), MemoryFiles({"m": data}, "m"))
    monkeypatch.setattr(together, "AHEAD", 64 * 1024 + 1)
    monkeypatch.setattr(together, "MANY", 0)
    files = SlowFiles({"m": data}, "m")
    told: list[int] = []
    assert measure(artifact_of(*items), files, progress=lambda done, _: told.append(done)) == alone
    assert told[-1] == len(data)
    assert [each.negative_zero_count for each in alone.tensors] == [1, 0, 0, 1]
    source = files.open("m")
    assert isinstance(source, Slow)
    assert max(size for _, size in source.reads) <= 64 * 1024
    assert ({reader for reader, _ in source.reads} == {threading.get_ident()}) is (processors == 1)


@pytest.mark.parametrize("processors", [1, 2])
def test_a_file_that_becomes_shorter_ends_the_measuring(
    processors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shrinking(Slow):
        __slots__ = ()

        def read_into(self, offset: int, buffer: memoryview) -> None:
            if offset > 500_000:
                raise SourceChangedError("m at byte 500,001: the file became shorter")
            super().read_into(offset, buffer)

    class Files(MemoryFiles):
        def _open_source(self, name: str) -> MemorySource:
            return Shrinking(self._files[name], name)

    monkeypatch.setattr(ahead, "_processors", lambda: processors)
    monkeypatch.setattr(together, "MANY", 0)
    monkeypatch.setattr(together, "AHEAD", 64 * 1024)
    items, data = _large(100_003, 50)
    with pytest.raises(SourceChangedError):
        measure(artifact_of(*items), Files({"m": data}, "m"))


def test_a_part_that_cannot_be_read_leaves_its_tensor_to_be_read_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(together, "BLOCK", 1_000)
    monkeypatch.setattr(together, "BLOCK_SIZE", 1_000)
    items, data = _large(1_000, 50)
    beyond = tensor("float32", (100_000,), RawPayload(STREAM, (Span(0, 400_000),)))
    found = measure(artifact_of(*items, beyond), MemoryFiles({"m": data}, "m"))
    assert [each.zero_count is None for each in found.tensors] == [False] * 4 + [True]
    assert len(found.diagnostics) == 1
