"""Claim B+tree nodes: their columns, keys, and the values within them."""

from __future__ import annotations

from modelinspect.core.bytemap import NO_TENSOR, RegionKind, TensorId
from modelinspect.core.tensors import DecompressStep, Extent, Stream
from modelinspect.encodings.ocdbt.frames import CHECKSUM_SIZE, Frame
from modelinspect.encodings.ocdbt.trees import Node
from modelinspect.formats.base import Site
from modelinspect.sources.zstd import ZSTD


class NodeMap:
    """One node. Labels are put on its decoded body; its stored bytes are shared out over them by length.

    A Zstandard frame does not say which of its bytes make which of the output's: the shares of one node sum
    to its size exactly, and each is an estimate.
    """

    __slots__ = ("_labels", "body", "frame", "node", "offset", "prefix", "site")

    def __init__(self, site: Site, offset: int, frame: Frame, node: Node, prefix: bytes) -> None:
        self.site = site
        self.offset = offset
        self.frame = frame
        self.node = node
        self.prefix = prefix
        self.body = frame.body
        self._labels: list[tuple[int, int, RegionKind, tuple[str, ...], TensorId]] = []

    @property
    def stream(self) -> Stream:
        """The decoded body, as a stream that can be opened again."""
        if not self.frame.is_compressed:
            return self.site.stream
        step = DecompressStep(
            self.offset + self.frame.header_size, self.frame.stored_size, ZSTD, len(self.body)
        )
        return self.site.stream.then(step)

    def stream_offset(self, offset: int) -> int:
        """Return where an offset of the body is in `stream`."""
        return offset if self.frame.is_compressed else self.offset + self.frame.header_size + offset

    def label(
        self, offset: int, size: int, kind: RegionKind, path: tuple[str, ...], tensor: TensorId = NO_TENSOR
    ) -> None:
        """Say what bytes of the body are."""
        if size > 0:
            self._labels.append((offset, size, kind, path, tensor))

    def extent(self, offset: int, size: int, encoding: str) -> Extent | None:
        """Return the stored bytes of a run of the body, None where its share is not a byte."""
        begin, end = self._stored(offset), self._stored(offset + size)
        if self.frame.is_compressed:
            encoding = ZSTD if encoding == "raw" else f"{ZSTD}+{encoding}"
        return self.site.extent(begin, end - begin, encoding) if end > begin else None

    def _stored(self, offset: int) -> int:
        """Return the byte of the data file to which the body's byte at ``offset`` belongs."""
        begin = self.offset + self.frame.header_size
        return begin + (
            offset * self.frame.stored_size // len(self.body) if self.frame.is_compressed else offset
        )

    def claim(self) -> None:
        """Claim the node. What nobody labelled is framing before the values, and metadata among them."""
        claims, node = self.site.claims, self.node
        root = claims.path("B+tree node")
        if self.prefix:
            root = claims.paths.child(root, self.prefix.decode(errors="replace"))
        claims.claim(
            self.offset, self.frame.header_size, RegionKind.CONTAINER, claims.paths.child(root, "header")
        )
        keys_end = node.keys_offset + node.keys_size
        plain = [
            (0, node.keys_offset, RegionKind.CONTAINER, ("lengths",), NO_TENSOR),
            (node.keys_offset, node.keys_size, RegionKind.METADATA, ("keys",), NO_TENSOR),
            (keys_end, node.values_offset - keys_end, RegionKind.CONTAINER, ("places",), NO_TENSOR),
        ]
        end = 0
        for offset, size, kind, path, tensor in [*plain, *sorted(self._labels, key=lambda label: label[0])]:
            self._piece(end, offset, RegionKind.METADATA, ("values",), NO_TENSOR)
            self._piece(max(offset, end), offset + size, kind, path, tensor)
            end = max(end, offset + size)
        self._piece(end, len(self.body), RegionKind.METADATA, ("values",), NO_TENSOR)
        checksum = self.offset + self.frame.size - CHECKSUM_SIZE
        claims.claim(checksum, CHECKSUM_SIZE, RegionKind.CONTAINER, claims.paths.child(root, "checksum"))
        self.body = b""

    def _piece(self, begin: int, end: int, kind: RegionKind, path: tuple[str, ...], tensor: TensorId) -> None:
        first, last = self._stored(begin), self._stored(end)
        if last > first:
            claims = self.site.claims
            claims.claim(first, last - first, kind, claims.path("B+tree node", *path), tensor)
