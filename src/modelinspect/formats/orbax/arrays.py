"""Turn the keys of a database, or the files of a folder, into arrays: metadata, chunks, tensors.

What an array is for follows from its place in the tree that was saved. Keras writes
``trainable_variables.MODEL.LAYER.VARIABLE`` and its siblings (keras/src/models/model.py, get_state_tree);
Flax and Optax write ``params``, ``batch_stats`` and ``opt_state``.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import product
from math import prod

from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import Extent, Payload, Role, Storage, Stream, Tensor, ZarrPayload, dense_size
from modelinspect.encodings.zarr import LARGEST_DOCUMENT, V2, V3, Array, Shards, read_array
from modelinspect.errors import Code, FormatError
from modelinspect.formats.base import Parsing, Site
from modelinspect.formats.orbax.store import Value

_CHECKSUM = 4
_ABSENT = (1 << 64) - 1
_SHARD_ENTRY = 16
_DOCUMENTS = (f"/{V2}", f"/{V3}")
_ATTRIBUTES = ("/.zattrs", "/.zgroup", "/.zmetadata")


@dataclass(frozen=True, slots=True)
class Piece:
    """The stored bytes of one chunk, and the element at which it begins."""

    value: Value
    offset: int
    size: int
    origin: tuple[int, ...]


@dataclass(slots=True)
class Found:
    """An array of an item: its key, its metadata, its chunks by their key."""

    key: str
    array: Array
    chunks: list[tuple[str, Value]] = field(default_factory=list)


class Arrays:
    """The arrays of one item. ``label`` goes before their names where there are several items."""

    def __init__(self, parsing: Parsing, label: str, parts: Mapping[str, tuple[str, ...]]) -> None:
        self.parsing = parsing
        self.label = label
        self.parts = parts
        self.metadata_size = 0
        self.count = 0

    def add(self, values: list[Value]) -> None:
        """Claim the values and add a tensor for each array."""
        found: dict[str, Found] = {}
        rest: list[Value] = []
        for value in values:
            if value.key.endswith(_DOCUMENTS):
                self._document(value, found)
            else:
                rest.append(value)
        for value in rest:
            owner = self._owner(value.key, found)
            if owner is None:
                self._other(value)
            else:
                found[owner].chunks.append((value.key[len(owner) + 1 :], value))
        keys = sorted(found)
        named = _uses([self.parts.get(key) or tuple(key.split(".")) for key in keys])
        for key, use in zip(keys, named, strict=True):
            self._tensor(found[key], use)
        self.count = len(keys)

    def _document(self, value: Value, found: dict[str, Found]) -> None:
        """Claim an array's metadata, and keep what it says."""
        key, _, name = value.key.rpartition("/")
        self.metadata_size += value.size
        _claim(value, 0, value.size, RegionKind.METADATA, (key, name))
        try:
            value.site.limits.allow(
                "metadata of an array", value.size, LARGEST_DOCUMENT, value.site.source.name
            )
            found[key] = Found(key, read_array(value.read(), value.site.source.name, name))
        except FormatError as error:
            value.site.diagnose(
                f"{key}: {error.problem}", None if value.node is not None else value.offset, code=error.code
            )

    def _owner(self, key: str, found: Mapping[str, Found]) -> str | None:
        """Return the array that a key is a chunk of: the longest that is a folder of it."""
        while "/" in key:
            key = key.rpartition("/")[0]
            if key in found:
                return key
        return None

    def _other(self, value: Value) -> None:
        kind = (
            RegionKind.METADATA
            if value.key.endswith(_ATTRIBUTES) or value.node is not None
            else RegionKind.ASSET
        )
        _claim(value, 0, value.size, kind, (value.key,))

    def _tensor(self, found: Found, use: _Use) -> None:
        array_ = found.array
        number = TensorId(self.parsing.tensor_count)
        pieces: list[Piece] = []
        note = array_.note
        for chunk, value in found.chunks:
            origin = array_.origin(chunk)
            if origin is None:
                _claim(value, 0, value.size, RegionKind.FREE, (found.key, chunk))
                continue
            try:
                pieces += self._pieces(array_, value, origin, (found.key, chunk))
            except FormatError as error:
                note = error.problem
                value.site.diagnose(
                    f"{found.key}: {error.problem}",
                    None if value.node is not None else value.offset,
                    code=error.code,
                )
                _claim(value, 0, value.size, RegionKind.TENSOR_DATA, (found.key, chunk), number)
                pieces.append(Piece(value, 0, value.size, origin))
        extents, is_compressed = self._claim_pieces(found, pieces, number)
        storage = Storage.COMPRESSED if is_compressed else Storage.DENSE
        payload = None if note else _payload(array_, pieces)
        logical = dense_size(array_.dtype, array_.shape)
        name = self.label + use.name
        tensor = Tensor(
            name,
            array_.dtype,
            array_.shape,
            use.role,
            storage,
            extents,
            logical,
            use.layer,
            payload,
            note,
            path=self.label + found.key,
        )
        self.parsing.add_tensor(tensor)

    def _claim_pieces(
        self, found: Found, pieces: list[Piece], number: TensorId
    ) -> tuple[tuple[Extent, ...], bool]:
        """Claim the bytes of chunks, and return where they are and whether anything compresses them."""
        codecs = [codec for codec in found.array.codecs if codec != "crc32c"]
        encoding = "+".join(codecs) or "raw"
        extents: list[Extent] = []
        is_compressed = bool(codecs)
        checksum = (
            _CHECKSUM if found.array.codecs[:1] == ("crc32c",) else 0
        )  # the codec that is undone first is written last
        for piece in pieces:
            value = piece.value
            label = (found.key, ",".join(map(str, piece.origin)) or "chunk")
            size = max(piece.size - checksum, 0)
            _claim(value, piece.offset, size, RegionKind.TENSOR_DATA, label, number)
            _claim(value, piece.offset + size, piece.size - size, RegionKind.CONTAINER, (*label, "checksum"))
            if value.node is None:
                extents.append(value.site.extent(value.offset + piece.offset, size, encoding))
            else:
                is_compressed = is_compressed or value.node.frame.is_compressed
                extent = value.node.extent(value.offset + piece.offset, size, encoding)
                extents += [extent] if extent is not None else []
        return tuple(extent for extent in extents if extent.span.size), is_compressed

    def _pieces(
        self, array_: Array, value: Value, origin: tuple[int, ...], path: tuple[str, ...]
    ) -> list[Piece]:
        """Return the chunks that a value holds: itself, or those that the index of a shard lists.

        Raises `FormatError`.
        """
        if array_.shards is None:
            return [Piece(value, 0, value.size, origin)]
        shards = array_.shards
        grid = [whole // one for whole, one in zip(array_.chunk_shape, shards.chunk_shape, strict=True)]
        size = _SHARD_ENTRY * prod(grid) + (_CHECKSUM if shards.index_checksum else 0)
        source = value.site.source.name
        if size > value.size:
            raise FormatError(
                f"the index of a shard needs {size:,} bytes but the shard has {value.size:,}", source
            )
        value.site.limits.allow("the index of a shard", size, value.site.limits.block_size, source)
        begin = value.size - size if shards.at_end else 0
        index = _part(value, begin, size)
        self._check_index(index, shards, value)
        _claim(value, begin, size, RegionKind.CONTAINER, (*path, "shard index"))
        found: list[Piece] = []
        for place, at in enumerate(product(*map(range, grid))):
            offset = int.from_bytes(index[_SHARD_ENTRY * place : _SHARD_ENTRY * place + 8], "little")
            length = int.from_bytes(index[_SHARD_ENTRY * place + 8 : _SHARD_ENTRY * (place + 1)], "little")
            if offset == length == _ABSENT:
                continue
            if offset + length > value.size:
                raise FormatError(
                    f"a chunk of a shard ends at byte {offset + length:,} of {value.size:,}", source
                )
            start = tuple(o + i * n for o, i, n in zip(origin, at, shards.chunk_shape, strict=True))
            if all(one < whole for one, whole in zip(start, array_.shape, strict=True)):
                found.append(Piece(value, offset, length, start))
            else:
                _claim(value, offset, length, RegionKind.FREE, (*path, "beyond the array"))
        self._claim_gaps(value, [*((p.offset, p.size) for p in found), (begin, size)], path)
        return found

    def _check_index(self, index: bytes, shards: Shards, value: Value) -> None:
        import google_crc32c

        if shards.index_checksum and google_crc32c.value(index[:-_CHECKSUM]) != int.from_bytes(
            index[-_CHECKSUM:], "little"
        ):
            place = None if value.node is not None else value.offset
            value.site.diagnose(
                f"{value.key}: the checksum of a shard's index does not match its bytes",
                place,
                code=Code.CHECKSUM,
            )

    def _claim_gaps(self, value: Value, spans: list[tuple[int, int]], path: tuple[str, ...]) -> None:
        """Claim what the index of a shard does not list."""
        end = 0
        for offset, size in sorted(spans):
            if offset > end:
                _claim(value, end, offset - end, RegionKind.FREE, (*path, "not listed"))
            end = max(end, offset + size)
        if end < value.size:
            _claim(value, end, value.size - end, RegionKind.FREE, (*path, "not listed"))


def _part(value: Value, offset: int, size: int) -> bytes:
    if value.node is not None:
        return value.node.body[value.offset + offset : value.offset + offset + size]
    return value.site.source.read_at(value.offset + offset, size)


def _claim(
    value: Value,
    offset: int,
    size: int,
    kind: RegionKind,
    path: tuple[str, ...],
    tensor: TensorId | None = None,
) -> None:
    """Claim bytes of a value where they are: in a file, or in a node."""
    given = () if tensor is None else (tensor,)
    if value.node is not None:
        value.node.label(value.offset + offset, size, kind, path, *given)
    else:
        value.site.claims.claim(value.offset + offset, size, kind, value.site.claims.path(*path), *given)


def _payload(array_: Array, pieces: list[Piece]) -> Payload:
    """Return how the elements are read: each chunk with the stream that holds it."""
    streams: dict[Stream, int] = {}
    which, offsets, sizes, coordinates = array("q"), array("q"), array("q"), array("q")
    for piece in pieces:
        value = piece.value
        stream = value.site.stream if value.node is None else value.node.stream
        begin = value.offset if value.node is None else value.node.stream_offset(value.offset)
        which.append(streams.setdefault(stream, len(streams)))
        offsets.append(begin + piece.offset)
        sizes.append(piece.size)
        coordinates.extend(piece.origin)
    chunk = array_.chunk_shape if array_.shards is None else array_.shards.chunk_shape
    return ZarrPayload(
        tuple(streams),
        chunk,
        array_.codecs,
        which,
        offsets,
        sizes,
        coordinates,
        array_.fill,
        array_.byte_order,
    )


def whole_site(site: Site, key: str) -> Value:
    """Return a file of a plain folder as a value."""
    return Value(key, site, 0, site.source.size)


_TRAINABLE, _FIXED, _OPTIMIZER, _METRICS = (
    "trainable_variables",
    "non_trainable_variables",
    "optimizer_variables",
    "metrics_variables",
)
_KERAS = (_TRAINABLE, _FIXED)
_ROLES = {
    _TRAINABLE: Role.WEIGHT,
    _FIXED: Role.OTHER,
    _OPTIMIZER: Role.OPTIMIZER,
    _METRICS: Role.OTHER,
    "params": Role.WEIGHT,
    "batch_stats": Role.STATISTIC,
    "opt_state": Role.OPTIMIZER,
    "step": Role.OTHER,
    "rng": Role.OTHER,
}
_STATISTICS = frozenset(("moving_mean", "moving_variance", "mean", "variance", "count"))


@dataclass(frozen=True, slots=True)
class _Use:
    """What an array is called, what it is for, and its layer."""

    name: str
    role: Role
    layer: str | None


def _uses(keys: Sequence[tuple[str, ...]]) -> list[_Use]:
    """Return the use of each array by the parts of its key; a model's own name is left out where all share
    one.
    """
    models = {parts[1] for parts in keys if parts and parts[0] in _KERAS and len(parts) > 2}
    return [_use(parts, len(models) == 1) for parts in keys]


def _use(parts: tuple[str, ...], has_one_model: bool) -> _Use:
    first = next((part for part in parts[:2] if part in _ROLES), "")
    role = _ROLES.get(first, Role.WEIGHT)
    if first == _FIXED and parts[-1] in _STATISTICS:
        role = Role.STATISTIC
    if first in _KERAS and len(parts) > 2:
        path = parts[2:] if has_one_model else parts[1:]
        return _Use("/".join(path), role, "/".join(path[:-1]) or parts[1])
    named = parts[1:] if first in (_OPTIMIZER, "params") and len(parts) > 1 and parts[0] == first else parts
    layer = "/".join(named[:-1]) or None
    return _Use("/".join(named), role, layer if role in (Role.WEIGHT, Role.STATISTIC) else None)
