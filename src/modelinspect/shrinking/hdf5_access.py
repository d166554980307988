"""Read and write HDF5 objects through h5py's low-level calls, without converting anything."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from modelinspect.core.limits import MIB
from modelinspect.core.records import dataclass
from modelinspect.shrinking.hdf5_filters import chunk_shape

PIECE = 4 * MIB
"""Bytes of elements that are read at once."""


@dataclass(slots=True)
class Holder:
    """What h5py's attribute manager needs of an object."""

    id: Any


def shown_attribute(old: Any, name: bytes) -> Any:
    """Return the value of an attribute as h5py shows it."""
    return h5py.AttributeManager(Holder(old))[name.decode("utf-8", "surrogateescape")]


def attribute_value(attribute: Any) -> NDArray[Any]:
    """Return the value: bytes as stored, for types of a fixed size."""
    kind = attribute.get_type()
    if is_variable(kind):
        values = np.empty(attribute.shape, dtype=attribute.dtype)
        attribute.read(values)
        return values
    raw = np.empty(
        kind.get_size() * max(attribute.get_space().get_simple_extent_npoints(), 0), dtype=np.uint8
    )
    if raw.size:
        attribute.read(raw, kind)
    return raw


def is_variable(kind: Any) -> bool:
    """Return whether elements hold pointers into the heap."""
    return bool(
        kind.detect_class(h5py.h5t.VLEN)
        or (kind.get_class() == h5py.h5t.STRING and kind.is_variable_str())
        or _deep_variable(kind)
    )


def _deep_variable(kind: Any) -> bool:
    found = kind.get_class()
    if found == h5py.h5t.COMPOUND:
        return any(is_variable(kind.get_member_type(index)) for index in range(kind.get_nmembers()))
    if found == h5py.h5t.ARRAY:
        return is_variable(kind.get_super())
    return False


def has_checksum(item: Any) -> bool:
    """Return whether Fletcher's checksum ends every chunk of a dataset."""
    plan = item.get_create_plist()
    return any(
        plan.get_filter(place)[0] == h5py.h5z.FILTER_FLETCHER32 for place in range(plan.get_nfilters())
    )


def scalar_size(kind: Any) -> int:
    """Return the bytes that shuffle takes apart: those of an element."""
    return int(kind.get_size())


def read_block(item: Any, kind: Any, start: tuple[int, ...], count: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read a block of a dataset as it is stored in memory, without converting it."""
    raw = np.empty(prod(count) * kind.get_size(), dtype=np.uint8)
    if raw.size:
        item.read(*selection(item, start, count), raw, kind)
    return raw


def selection(item: Any, start: tuple[int, ...], count: tuple[int, ...]) -> tuple[Any, Any]:
    """Return the dataspaces in memory and in the file for a block of elements; a scalar has no axes to select
    on.
    """
    if not count:
        return h5py.h5s.ALL, h5py.h5s.ALL
    space = item.get_space()
    space.select_hyperslab(start, count)
    return h5py.h5s.create_simple(count), space


def pieces(
    item: Any, kind: Any, shape: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], NDArray[np.uint8]]]:
    """Yield a dataset in blocks of consecutive elements; none where it has no elements."""
    if not all(shape):
        return
    block = chunk_shape(shape, kind.get_size(), PIECE)
    for place in product(*(range(0, length, step) for length, step in zip(shape, block, strict=True))):
        count = tuple(min(step, length - at) for at, length, step in zip(place, shape, block, strict=True))
        yield place, count, read_block(item, kind, place, count)


def read_run(item: Any, kind: Any, shape: tuple[int, ...], first: int, length: int) -> bytes:
    """Return elements of a dataset from about ``first`` on: whole rows along the first axis."""
    row = prod(shape[1:])
    if not row:
        return b""
    if row > length and len(shape) > 1:
        inner = [first // row, *(0 for _ in shape[1:])]
        count = chunk_shape((1, *shape[1:]), kind.get_size(), max(length, 1) * kind.get_size())
        return read_block(item, kind, tuple(inner), count).tobytes()
    start = first // row
    return read_block(
        item,
        kind,
        (start, *(0 for _ in shape[1:])),
        (min(max(length // row, 1), shape[0] - start), *shape[1:]),
    ).tobytes()


def elements_digest(item: Any) -> str:
    """Return the SHA-256 of a dataset's elements as they are stored in memory."""
    kind = item.get_type()
    found = hashlib.sha256()
    for _, _, data in pieces(item, kind, item.shape):
        found.update(data.data)
    return found.hexdigest()


def link_plan() -> Any:
    """Return how links are made: names in UTF-8, as h5py writes them, and groups on the way to them."""
    plan = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    plan.set_create_intermediate_group(True)
    plan.set_char_encoding(h5py.h5t.CSET_UTF8)
    return plan


def encoded(path: str) -> bytes:
    """Return a path as the library wants it; names that are not UTF-8 keep their bytes."""
    return path.encode("utf-8", "surrogateescape")


def link_names(group: Any) -> list[bytes]:
    """Return the names in a group, in the order in which they were made where the group knows it."""
    names: list[bytes] = []
    order = (
        h5py.h5.INDEX_CRT_ORDER if group.get_create_plist().get_link_creation_order() else h5py.h5.INDEX_NAME
    )
    group.links.iterate(names.append, idx_type=order)
    return names


def attribute_names(item: Any) -> list[bytes]:
    """Return the names of attributes in the order in which they were written, where that is known."""
    found: list[bytes] = []

    def visit(name: bytes, *_: object) -> None:
        found.append(name)

    try:
        h5py.h5a.iterate(item, visit, index_type=h5py.h5.INDEX_CRT_ORDER)
    except (ValueError, RuntimeError):
        found.clear()
        h5py.h5a.iterate(item, visit, index_type=h5py.h5.INDEX_NAME)
    return found
