"""Read chunk indexes into columns (specification, section III.A and appendix C)."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from modelinspect.core.paths import PathId
from modelinspect.encodings.hdf5.arrays import Part, read_extensible_array, read_fixed_array
from modelinspect.encodings.hdf5.btree2 import BTree2
from modelinspect.encodings.hdf5.element_types import Dataspace
from modelinspect.encodings.hdf5.messages import LayoutMessage
from modelinspect.encodings.hdf5.model import Chunks
from modelinspect.encodings.hdf5.numbers import numbers
from modelinspect.encodings.hdf5.state import CONTAINER, FREE, STALE_KEYS, State

if TYPE_CHECKING:
    from numpy.typing import NDArray

_IMPLICIT = 2


class ChunkIndex:
    """The chunk index of one dataset; `read` fills ``chunks`` and claims the index."""

    __slots__ = (
        "_chunk_size",
        "_filtered",
        "_k",
        "_message",
        "_path",
        "_space",
        "chunks",
        "state",
        "stored_size",
    )

    def __init__(
        self,
        state: State,
        message: LayoutMessage,
        space: Dataspace,
        filtered: bool,
        chunk_k: int,
        path: PathId,
    ) -> None:
        self.state = state
        self.chunks = Chunks(len(message.chunk_shape))
        self.stored_size = 0
        self._message = message
        self._space = space
        self._filtered = filtered
        self._k = chunk_k
        self._path = path
        self._chunk_size = prod(message.chunk_shape) * message.element_size

    def read(self) -> None:
        """Read the index. Raises `FormatError`; chunks that were found before that stay in ``chunks``."""
        message, state = self._message, self.state
        address = message.address
        if address is None:
            return
        if not self._chunk_size or len(message.chunk_shape) != len(self._space.shape or ()):
            raise state.error("the chunks of a dataset have no size or not its rank", state.base + address)
        match message.index:
            case 0:
                state.enter(address, "chunk index")
                self._read_btree1(address)
            case 1:
                size = message.filtered_size if message.filtered_size is not None else self._chunk_size
                self._add(address, size, message.filter_mask, (0,) * self.chunks.rank)
            case 2:
                self._read_implicit(address)
            case 3:
                state.enter(address, "chunk index")
                parts, size = read_fixed_array(state, address, self._filtered, self._path)
                self.stored_size += size
                self._add_array(parts, self._counts(), None)
            case 4:
                state.enter(address, "chunk index")
                parts, size = read_extensible_array(state, address, self._filtered, self._path)
                self.stored_size += size
                self._add_array(parts, self._counts(), self._unlimited())
            case _:
                self._read_btree2(address)

    def _add(self, address: int, size: int, mask: int, coordinate: tuple[int, ...]) -> None:
        self.state.locate(address, size, "chunk")
        self.chunks.offsets.append(self.state.base + address)
        self.chunks.sizes.append(size)
        self.chunks.masks.append(mask)
        self.chunks.coordinates.extend(coordinate)

    def _add_columns(
        self, addresses: NDArray[Any], sizes: NDArray[Any], masks: NDArray[Any], coordinates: NDArray[Any]
    ) -> None:
        """Add chunks in columns; ``coordinates`` has one row of element offsets for each.

        Those outside of the file are reported.
        """
        import numpy as np

        state, chunks = self.state, self.chunks
        room = state.end - state.base
        inside = (addresses <= room) & (sizes <= room)
        inside &= np.where(inside, addresses + sizes, 0) <= room
        if not inside.all():
            lost = int((~inside).sum())
            first = int(addresses[~inside][0])
            state.survive(
                state.error(
                    f"{lost:,} chunks of a dataset lie outside of the file, the first at address {first:#x}"
                )
            )
            addresses, sizes, masks, coordinates = (
                addresses[inside],
                sizes[inside],
                masks[inside],
                coordinates[inside],
            )
        state.limits.allow(
            "its list of chunks", len(chunks) + len(addresses), state.limits.regions, state.name
        )
        chunks.offsets.frombytes((addresses.astype(np.int64) + state.base).tobytes())
        chunks.sizes.frombytes(sizes.astype(np.int64).tobytes())
        chunks.masks.frombytes(masks.astype(np.int64).tobytes())
        chunks.coordinates.frombytes(np.ascontiguousarray(coordinates.astype(np.int64)).tobytes())

    def _read_btree1(self, root: int) -> None:
        import numpy as np

        state, rank = self.state, self.chunks.rank
        width = state.offset_size
        key_size = 8 + 8 * (rank + 1)
        head = 8 + 2 * width
        size = head + (2 * self._k + 1) * key_size + 2 * self._k * width
        row = np.dtype(
            [("size", "<u4"), ("mask", "<u4"), ("at", "<u8", (rank + 1,)), ("child", f"<u{width}")]
        )
        path, unused = (
            state.paths.child(self._path, "B-tree node"),
            state.paths.child(self._path, "B-tree node", STALE_KEYS),
        )
        seen: set[int] = set()
        pending: list[tuple[int, int | None]] = [(root, None)]
        while pending:
            address, level = pending.pop()
            offset = state.base + address
            if address in seen:
                state.survive(state.error("the B-tree of a dataset leads in a circle", offset))
                continue
            seen.add(address)
            data = state.guard(state.read, address, size, "B-tree node of a dataset")
            if data is None:
                continue
            own, count = data[5], int.from_bytes(data[6:8], "little")
            used = head + count * row.itemsize + (key_size if count else 0)
            if data[:5] != b"TREE\x01" or used > size or (level is not None and own != level):
                state.survive(state.error("no B-tree node of a dataset is here", offset))
                continue
            state.claim(offset, used, CONTAINER, path)
            state.claim(offset + used, size - used, FREE, unused)
            self.stored_size += size
            rows = np.frombuffer(data, dtype=row, count=count, offset=head)
            if own:
                pending += [(child, own - 1) for child in reversed(rows["child"].tolist())]
            else:
                self._add_columns(
                    rows["child"].astype(np.uint64),
                    rows["size"].astype(np.uint64),
                    rows["mask"],
                    rows["at"][:, :rank],
                )

    def _read_btree2(self, address: int) -> None:
        import numpy as np

        state, rank, width = self.state, self.chunks.rank, self.state.offset_size
        tree = BTree2(state, address, (11,) if self._filtered else (10,), self._path)
        size_width = tree.tree.record_size - width - 8 * rank - 4 if self._filtered else 0
        if not 0 <= size_width <= 8 or (not self._filtered and tree.tree.record_size != width + 8 * rank):
            raise state.error(
                f"the records of a chunk index have {tree.tree.record_size} bytes", state.base + address
            )
        shape = np.array(self._message.chunk_shape, dtype=np.uint64)
        for node in tree.nodes():
            table = np.frombuffer(node.data, dtype=np.uint8).reshape(node.count, node.record_size)
            addresses = numbers(table[:, :width])
            scaled = (
                np.ascontiguousarray(table[:, node.record_size - 8 * rank :])
                .view("<u8")
                .reshape(node.count, rank)
            )
            if self._filtered:
                sizes, masks = (
                    numbers(table[:, width : width + size_width]),
                    numbers(table[:, width + size_width : width + size_width + 4]),
                )
            else:
                sizes, masks = (
                    np.full(node.count, self._chunk_size, dtype=np.uint64),
                    np.zeros(node.count, dtype=np.uint64),
                )
            self._add_columns(addresses, sizes, masks, scaled * shape)
        self.stored_size += tree.stored_size

    def _unlimited(self) -> int:
        maxshape = self._space.maxshape or ()
        return next((axis for axis, length in enumerate(maxshape) if length is None), 0)

    def _counts(self) -> list[int]:
        """Return the number of chunks along each axis, of the greatest shape that the dataset may take (0: no
        limit).
        """
        shape = self._space.maxshape or self._space.shape or ()
        return [
            0 if length is None else -(-length // step)
            for length, step in zip(shape, self._message.chunk_shape, strict=True)
        ]

    def _read_implicit(self, address: int) -> None:
        import numpy as np

        counts = self._counts()
        total, state = prod(counts), self.state
        state.locate(address, total * self._chunk_size, "run of chunks")
        state.limits.allow("its list of chunks", total, state.limits.regions, state.name)
        rows = np.zeros((total, 3), dtype=np.uint64)
        rows[:, 0] = address + np.arange(total, dtype=np.uint64) * np.uint64(self._chunk_size)
        self._add_array([(0, rows)], counts, None)

    def _add_array(self, parts: list[Part], counts: list[int], unlimited: int | None) -> None:
        """Add the elements of an array of address, size and mask; an element's place says the chunk's
        coordinates.
        """
        import numpy as np

        if not parts:
            return
        rows = np.concatenate([part for _, part in parts])
        places = np.concatenate(
            [np.arange(len(part), dtype=np.uint64) + np.uint64(start) for start, part in parts]
        )
        stored = rows[:, 0] != np.uint64(self.state.undefined)
        rows, index = rows[stored], places[stored]
        axes = list(range(len(counts)))
        if unlimited:
            # The unlimited axis varies slowest (appendix C.4).
            axes = [unlimited, *axes[:unlimited], *axes[unlimited + 1 :]]
        coordinates = np.zeros((len(index), len(counts)), dtype=np.uint64)
        for axis in reversed(axes[1:]):
            count = np.uint64(max(counts[axis], 1))
            coordinates[:, axis] = index % count * np.uint64(self._message.chunk_shape[axis])
            index = index // count
        coordinates[:, axes[0]] = index * np.uint64(self._message.chunk_shape[axes[0]])
        beyond = (coordinates >= np.array(self._space.shape, dtype=np.uint64)).any(axis=1)
        if self._message.index == _IMPLICIT and beyond.any():
            # All are allocated, for the greatest shape; no element of the dataset is in these.
            path, size = (
                self.state.paths.child(self._path, "chunk beyond the dataset's extent"),
                self._chunk_size,
            )
            self.state.claims.claim_many(
                rows[beyond, 0].astype(np.int64) + self.state.base, size, FREE.code, path
            )
            rows, coordinates = rows[~beyond], coordinates[~beyond]
        sizes = rows[:, 1] if self._filtered else np.full(len(rows), self._chunk_size, dtype=np.uint64)
        self._add_columns(rows[:, 0], sizes, rows[:, 2], coordinates)
