"""Write an HDF5 file again: newest layout, no free space, elements deflated where that gains.

Objects, attributes, types and elements stay bit-equal. Files are written through a Python file, because the
library then allocates no blocks ahead, and without times, because the same input then gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from modelinspect.core.limits import MIB
from modelinspect.core.records import dataclass, field
from modelinspect.errors import LocationError
from modelinspect.measure.rewrite import FileLike
from modelinspect.shrinking.hdf5_access import (
    PIECE,
    Holder,
    attribute_names,
    attribute_value,
    elements_digest,
    encoded,
    has_checksum,
    is_variable,
    link_names,
    link_plan,
    pieces,
    read_block,
    read_run,
    scalar_size,
    selection,
    shown_attribute,
)
from modelinspect.shrinking.hdf5_filters import COMPACT_MOST, Chooser, Filters, encode, sample_spans
from modelinspect.shrinking.steps import NotShrinkableError
from modelinspect.sources.base import Source

H5_ERRORS = (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, OverflowError)
"""What h5py raises for files that the library does not read or write."""
_WORKERS = 2
_AHEAD = 4
"""Chunks that are compressed while others are read and written."""
_LINKED_LEAST = 512
"""Equal datasets of fewer bytes are stored twice: a second header costs little more than a second link."""

_Coming = tuple[Any, tuple[int, ...], int, "Future[tuple[bytes, int]]"]
"""A chunk that is being compressed: its dataset, its place, its bytes before, and what comes of it."""
Attributes = Callable[[str, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """How to write a file: which objects to keep, under which paths, with which attributes.

    ``keep`` and ``rename`` take absolute paths. ``attributes`` takes a path and the attributes by name, and
    returns those to write: the same objects where nothing changes. ``hosted`` is for a file that is deflated
    as a whole afterwards.
    """

    level: int = 9
    hosted: bool = False
    link_equal: bool = True
    keep: Callable[[str], bool] = lambda path: True
    rename: Callable[[str], str] = lambda path: path
    attributes: Attributes | None = None


@dataclass(slots=True)
class Tally:
    """What writing did: bytes that deflate took off the elements, and bytes of datasets that became links."""

    deflated: int = 0
    linked: int = 0
    links: int = 0
    filtered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    """Stored bytes of the datasets that were not kept, by the path of what was dropped."""


def rewrite_hdf5(
    source: Source, target: Path, how: Rewrite, tick: Callable[[int], None] = lambda size: None
) -> Tally:
    """Write a surveyed file again to ``target``.

    Raises `NotShrinkableError` where the library does not read or write it, `OSError`.
    """
    try:
        with (
            target.open("w+b") as raw,
            h5py.File(FileLike(source), "r", rdcc_nbytes=64 * MIB) as old,
            h5py.File(_created(raw, old.id.get_create_plist())) as new,
            ThreadPoolExecutor(_WORKERS) as pool,
        ):
            copier = _Copier(old, new, how, pool, tick)
            copier.run()
        return copier.tally
    except LocationError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise NotShrinkableError(
            f"{source.name}: the HDF5 library does not write it again: {error}"
        ) from error
    except H5_ERRORS as error:
        raise NotShrinkableError(
            f"{source.name}: the HDF5 library does not write it again: {error}"
        ) from error


def _created(raw: Any, plan: Any) -> Any:
    """Return a new file in the layout of HDF5 1.10, written through a Python file."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, raw)
    made = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    made.set_obj_track_times(False)
    _keep_order(plan, made)
    return h5py.h5f.create(b"shrink", h5py.h5f.ACC_TRUNC, fcpl=made, fapl=access)


def _keep_order(old: Any, new: Any) -> None:
    """Track the order of links and attributes where the old object does."""
    new.set_link_creation_order(old.get_link_creation_order())
    if old.get_attr_creation_order():
        new.set_attr_creation_order(old.get_attr_creation_order())


@dataclass(slots=True)
class _Copier:
    """Copies the objects of a file in the order of its links, each object once."""

    old: Any
    new: Any
    how: Rewrite
    pool: ThreadPoolExecutor
    tick: Callable[[int], None]
    tally: Tally = field(default_factory=Tally)
    _written: dict[int, bytes] = field(default_factory=dict)
    _equal: dict[str, bytes] = field(default_factory=dict)
    _waiting: deque[_Coming] = field(default_factory=deque)
    _chooser: Chooser = field(init=False)

    def __post_init__(self) -> None:
        self._chooser = Chooser(self.how.level, self.pool, self.how.hosted)

    def run(self) -> None:
        """Copy everything that is kept."""
        if self.how.link_equal:
            self._find_equal()
        self._attributes(self.old.id, self.new.id, "/")
        pending = [("/", self.old["/"].id, self.new["/"].id)]
        while pending:
            path, old, new = pending.pop()
            groups = [(inner, child) for inner, child in self._children(path, old, new)]
            pending += reversed(
                [
                    (inner, child, h5py.h5g.open(self.new.id, encoded(self.how.rename(inner))))
                    for inner, child in groups
                ]
            )
        self._flush(0)

    def _children(self, path: str, old: Any, new: Any) -> Iterator[tuple[str, Any]]:
        """Copy the links of a group and its datasets, and yield the groups in it."""
        for name in link_names(old):
            inner = f"{path.rstrip('/')}/{name.decode('utf-8', 'surrogateescape')}"
            if not self.how.keep(inner):
                self.tally.dropped[inner] = _stored(h5py.h5o.open(old, name))
                continue
            target = encoded(self.how.rename(inner))
            if old.links.get_info(name).type == h5py.h5l.TYPE_SOFT:
                self.new.id.links.create_soft(target, old.links.get_val(name))
                continue
            address = h5py.h5o.get_info(old, name).addr
            if address in self._written:
                self.new.id.links.create_hard(target, self.new.id, self._written[address])
                continue
            self._written[address] = target
            item = h5py.h5o.open(old, name)
            if isinstance(item, h5py.h5g.GroupID) and self.new.id.links.exists(target):
                self._attributes(item, h5py.h5g.open(self.new.id, target), inner)  # two groups become one
                yield inner, item
            elif isinstance(item, h5py.h5g.GroupID):
                plan = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
                plan.set_obj_track_times(False)
                _keep_order(item.get_create_plist(), plan)
                made = h5py.h5g.create(self.new.id, target, lcpl=link_plan(), gcpl=plan)
                self._attributes(item, made, inner)
                yield inner, item
            else:
                self._dataset(item, target, inner)

    def _find_equal(self) -> None:
        """Find datasets whose type, shape, attributes and elements are equal: all but the first become links
        to it.
        """
        alike: defaultdict[tuple[object, ...], list[str]] = defaultdict(list)

        def visit(name: bytes) -> None:
            item = h5py.h5o.open(self.old.id, name)
            path = "/" + name.decode("utf-8", "surrogateescape")
            if isinstance(item, h5py.h5d.DatasetID) and self.how.keep(path):
                kind, space = item.get_type(), item.get_space()
                size = kind.get_size() * space.get_simple_extent_npoints()
                if size >= _LINKED_LEAST and not is_variable(kind):
                    limits = space.get_simple_extent_dims(True)
                    alike[kind.encode(), item.shape, limits, size, has_checksum(item)].append(path)

        h5py.h5o.visit(self.old.id, visit)
        for group in alike.values():
            first: dict[tuple[str, str], str] = {}
            for path in group if len(group) > 1 else ():
                item = h5py.h5o.open(self.old.id, encoded(path))
                same = first.setdefault((elements_digest(item), self._attribute_digest(item)), path)
                if same != path:
                    self._equal[path] = encoded(self.how.rename(same))

    def _attribute_digest(self, item: Any) -> str:
        found = hashlib.sha256()
        for name in sorted(attribute_names(item)):
            attribute = h5py.h5a.open(item, name)
            if is_variable(attribute.get_type()):
                return f"unique {name!r} {id(item)}"
            found.update(name + b"\0" + attribute.get_type().encode() + attribute_value(attribute).tobytes())
        return found.hexdigest()

    def _dataset(self, item: Any, target: bytes, path: str) -> None:
        known = self._equal.get(path)
        kind, space = item.get_type(), item.get_space()
        size = kind.get_size() * max(space.get_simple_extent_npoints(), 0)
        if known is not None and known in self._written.values():
            self.new.id.links.create_hard(target, self.new.id, known)
            self.tally.linked += size
            self.tally.links += 1
            self.tick(size)
            return
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_obj_track_times(False)
        old_plan = item.get_create_plist()
        if old_plan.get_attr_creation_order():
            plan.set_attr_creation_order(old_plan.get_attr_creation_order())
        fixed = not is_variable(kind)
        if fixed and old_plan.fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED:
            fill = np.empty((), dtype=item.dtype)
            old_plan.get_fill_value(fill)
            plan.set_fill_value(fill)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER if fixed and size else h5py.h5d.FILL_TIME_IFSET)
        shape = item.shape if space.get_simple_extent_type() == h5py.h5s.SIMPLE else ()
        extendible = (
            space.get_simple_extent_type() == h5py.h5s.SIMPLE
            and space.get_simple_extent_dims(True) != space.shape
        )
        whole = read_block(item, kind, (0,) * len(shape), shape) if fixed and 0 < size <= PIECE else None
        filters = self._filters(item, kind, shape, whole) if fixed and size else None
        checked = has_checksum(item)
        if filters is not None:
            filters = replace(filters, checksum=checked)
            plan.set_chunk(filters.chunk)
            if filters.shuffle:
                plan.set_shuffle()
            plan.set_deflate(self.how.level)
        elif extendible or checked:
            plan.set_chunk(old_plan.get_chunk())
        elif fixed and 0 < size <= COMPACT_MOST:
            plan.set_layout(h5py.h5d.COMPACT)
        if checked:
            plan.set_fletcher32()
        made = h5py.h5d.create(self.new.id, target, kind, space, dcpl=plan, lcpl=link_plan())
        self._attributes(item, made, path)
        if not size:
            return
        if not fixed:
            self._variable(item, made)
        elif filters is not None:
            self._chunks(item, made, kind, shape, filters, whole)
        else:
            for start, count, data in pieces(item, kind, shape):
                made.write(*selection(made, start, count), data, kind)
                self.tick(len(data))

    def _filters(
        self, item: Any, kind: Any, shape: tuple[int, ...], whole: NDArray[np.uint8] | None
    ) -> Filters | None:
        """Choose by the elements, or by pieces of a dataset that is not read as a ``whole``."""
        width = kind.get_size()
        size = width * prod(shape)
        spans = sample_spans(size, width)
        sample = b"".join(
            read_run(item, kind, shape, offset // width, length // width)
            if whole is None
            else whole[offset : offset + length].tobytes()
            for offset, length in spans
        )
        return self._chooser.choose(sample, size, shape, scalar_size(kind))

    def _variable(self, item: Any, made: Any) -> None:
        """Copy elements of differing size; the survey has limited how much they are."""
        values = np.empty(item.shape, dtype=item.dtype)
        item.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, values)
        self.tick(values.nbytes)

    def _chunks(
        self,
        item: Any,
        made: Any,
        kind: Any,
        shape: tuple[int, ...],
        filters: Filters,
        known: NDArray[np.uint8] | None,
    ) -> None:
        """Compress chunks side by side, those of several datasets too, and write each in its turn.

        ``known`` are all elements where they were read already.
        """
        width, scalar = kind.get_size(), scalar_size(kind)
        self.tally.filtered += 1
        for place in product(
            *(range(0, length, step) for length, step in zip(shape, filters.chunk, strict=True))
        ):
            count = tuple(
                min(step, length - at) for at, length, step in zip(place, shape, filters.chunk, strict=True)
            )
            data = known if known is not None and count == shape else read_block(item, kind, place, count)
            if count != filters.chunk:  # what is beyond the edge of the dataset is stored too
                whole = np.zeros((*filters.chunk, width), dtype=np.uint8)
                whole[tuple(slice(0, length) for length in count)] = data.reshape(*count, width)
                data = whole.reshape(-1)
            size = prod(count) * width
            stored = self.pool.submit(encode, data.data, filters, scalar, self.how.level)
            self._waiting.append((made, place, size, stored))
            self._flush(_AHEAD)

    def _flush(self, left: int) -> None:
        """Write the chunks that were compressed first, until so many are left."""
        while len(self._waiting) > left:
            made, place, size, coming = self._waiting.popleft()
            data, mask = coming.result()
            made.write_direct_chunk(place, data, mask)
            self.tally.deflated += size - len(data)
            self.tick(size)

    def _attributes(self, old: Any, new: Any, path: str) -> None:
        names = attribute_names(old)
        changed: dict[str, Any] | None = None
        if self.how.attributes is not None and names:
            values = {name.decode("utf-8", "surrogateescape"): shown_attribute(old, name) for name in names}
            told = self.how.attributes(path, dict(values))
            changed = {name: value for name, value in told.items() if value is not values.get(name)}
            names = [name for name in names if name.decode("utf-8", "surrogateescape") in told]
        for name in names:
            text = name.decode("utf-8", "surrogateescape")
            if changed is not None and text in changed:
                h5py.AttributeManager(Holder(new)).create(text, changed[text])
                continue
            attribute = h5py.h5a.open(old, name)
            made = h5py.h5a.create(new, name, attribute.get_type(), attribute.get_space())
            if attribute.get_space().get_simple_extent_type() != h5py.h5s.NULL:
                if is_variable(attribute.get_type()):
                    made.write(attribute_value(attribute))
                else:
                    made.write(attribute_value(attribute), attribute.get_type())


def _stored(item: Any) -> int:
    """Return the stored bytes of a dataset, or of all datasets below a group."""
    if isinstance(item, h5py.h5d.DatasetID):
        return int(item.get_storage_size())
    total = 0

    def visit(name: bytes) -> None:
        nonlocal total
        inner = h5py.h5o.open(item, name)
        total += inner.get_storage_size() if isinstance(inner, h5py.h5d.DatasetID) else 0

    h5py.h5o.visit(item, visit)
    return total
