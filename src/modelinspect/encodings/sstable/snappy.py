"""Which stored byte of a Snappy block each decoded byte comes from.

Specification: google/snappy, format_description.txt.
"""

from __future__ import annotations

from bisect import bisect_right

from modelinspect.sources.snappy import read_preamble


class Positions:
    """How far the decoder has read when it has written a given number of bytes."""

    __slots__ = ("_decoded", "_literal", "_stored")

    def __init__(self, data: bytes) -> None:
        """Walk the elements of a block that `decompress` accepts."""
        _, index = read_preamble(data)
        self._decoded = [0]
        self._stored = [0]
        self._literal = [0]  # how many bytes of the element's output are in it as they are
        written = 0
        while index < len(data):
            tag = data[index]
            size, literal = (tag >> 2) + 1, 0
            match tag & 3:
                case 0:
                    extra = max(size - 60, 0)  # lengths 60 to 63 say how many bytes hold the length less one
                    if extra:
                        size = int.from_bytes(data[index + 1 : index + 1 + extra], "little") + 1
                    literal = size
                    index += 1 + extra + size
                case 1:
                    size = (tag >> 2 & 7) + 4
                    index += 2
                case kind:
                    index += 3 if kind == 2 else 5
            written += size
            self._decoded.append(written)
            self._stored.append(min(index, len(data)))
            self._literal.append(literal)

    def stored(self, decoded: int) -> int:
        """Return the position in the stored bytes at which ``decoded`` bytes are written.

        Within a literal that is exact; a copied run counts to the byte at which it begins.
        """
        row = bisect_right(self._decoded, decoded) - 1
        if row + 1 >= len(self._decoded):
            return self._stored[-1]
        begun = decoded - self._decoded[row]
        if begun == 0:
            return self._stored[row]
        return self._stored[row + 1] - (self._literal[row + 1] - begun if self._literal[row + 1] else 0)
