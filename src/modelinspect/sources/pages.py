"""Keep what was read of a remote file in small blocks, and fetch many blocks at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from modelinspect.core.limits import KIB, MIB
from modelinspect.errors import SourceChangedError
from modelinspect.sources.base import Source

PAGE = 64 * KIB
"""Bytes that are fetched at once for a small read that nobody expected."""
BLOCK = 1 * KIB
"""What is kept and asked for together: structures between weights are small and apart."""
_WIDE = 8
"""Blocks that are fetched together where each range costs a request: structures lie near each other."""
_KEPT = 32 * MIB // BLOCK
_MOST_EXPECTED = 16 * MIB
"""Bytes that are fetched ahead at once; what is beyond is fetched when it is read."""

Range = tuple[int, int]
Fetch = Callable[[Sequence[Range]], Sequence[bytes]]
"""Return the bytes of each range ``(begin, end)``."""


class RemoteSource(Source):
    """A remote file; ``fetch`` returns the bytes of ranges, ``is_single`` whether each is a request.

    Small reads come from blocks that are kept, large ones do not.
    """

    __slots__ = ("_blocks", "_fetch", "_is_single", "name", "size")
    is_remote = True

    def __init__(
        self, fetch: Fetch, name: str, size: int, is_single: Callable[[], bool] = lambda: False
    ) -> None:
        self._fetch = fetch
        self._is_single = is_single
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.name = name
        self.size = size

    def read_into(self, offset: int, buffer: memoryview) -> None:
        size = len(buffer)
        self.require(offset, size)
        if size > PAGE and not self._is_kept(offset, size):
            buffer[:] = self._exactly([(offset, offset + size)])[0]
            return
        done = 0
        while done < size:
            number, within = divmod(offset + done, BLOCK)
            part = self._block(number)[within : within + size - done]
            buffer[done : done + len(part)] = part
            done += len(part)

    def expect(self, spans: Sequence[tuple[int, int]]) -> None:
        wanted: set[int] = set()
        for offset, size in spans:
            if 0 <= offset < self.size and 0 < size <= _MOST_EXPECTED:
                last = (min(offset + size, self.size) - 1) // BLOCK
                missing = [
                    number for number in range(offset // BLOCK, last + 1) if number not in self._blocks
                ]
                wanted.update(self._widened(missing) if missing and self._is_single() else missing)
            if len(wanted) * BLOCK > _MOST_EXPECTED:
                break
        self._keep(sorted(wanted))

    def _widened(self, numbers: Sequence[int]) -> list[int]:
        """Return blocks with those after them up to a border, which a later level will want."""
        end = min(-(-(numbers[-1] + 1) // _WIDE) * _WIDE, -(-self.size // BLOCK))
        return [number for number in range(numbers[0], end) if number not in self._blocks]

    def _is_kept(self, offset: int, size: int) -> bool:
        return all(
            number in self._blocks for number in range(offset // BLOCK, (offset + size - 1) // BLOCK + 1)
        )

    def _block(self, number: int) -> bytes:
        block = self._blocks.get(number)
        if block is None:  # with what comes after it up to the next block that is kept
            end = min(number + PAGE // BLOCK, -(-self.size // BLOCK))
            known = next((later for later in range(number + 1, end) if later in self._blocks), end)
            self._keep(range(number, known))
            return self._blocks[number]
        self._blocks.move_to_end(number)
        return block

    def _keep(self, numbers: Iterable[int]) -> None:
        """Fetch blocks, which are in order, and keep them instead of those that were not used for longest."""
        runs: list[list[int]] = []
        for number in numbers:
            if runs and runs[-1][1] == number:
                runs[-1][1] += 1
            else:
                runs.append([number, number + 1])
        ranges = [(first * BLOCK, min(last * BLOCK, self.size)) for first, last in runs]
        for (begin, _), data in zip(ranges, self._exactly(ranges), strict=True):
            for at in range(0, len(data), BLOCK):
                self._blocks[(begin + at) // BLOCK] = data[at : at + BLOCK]
        while len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)

    def _exactly(self, ranges: Sequence[Range]) -> Sequence[bytes]:
        if not ranges:
            return ()
        fetched = self._fetch(ranges)
        for (begin, end), data in zip(ranges, fetched, strict=True):
            if len(data) != end - begin:
                raise SourceChangedError(
                    f"{self.name} at byte {begin:,}: {end - begin:,} bytes were asked for and {len(data):,}"
                    " came; the file changed while it was read, or its server ignores ranges"
                )
        return fetched
