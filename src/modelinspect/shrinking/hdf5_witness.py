"""Compare two HDF5 files with h5py: every object, type, shape, attribute and element."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from modelinspect.core.limits import MIB
from modelinspect.measure.rewrite import FileLike
from modelinspect.shrinking.hdf5_access import (
    attribute_names,
    attribute_value,
    elements_digest,
    encoded,
    has_checksum,
    is_variable,
    link_names,
    shown_attribute,
)
from modelinspect.shrinking.hdf5_copy import H5_ERRORS, Rewrite
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.sources.base import Source


def compare_hdf5(before: Source, after: Source, how: Rewrite) -> int:
    """Return how many objects are equal.

    Raises `UnprovedError` for the first that differs; ``how`` says what was meant to change.
    """
    try:
        with (
            h5py.File(FileLike(before), "r", rdcc_nbytes=64 * MIB) as old,
            h5py.File(FileLike(after), "r", rdcc_nbytes=64 * MIB) as new,
        ):
            wanted = {how.rename(path): (path, link) for path, link in _objects(old) if how.keep(path)}
            result = dict(_objects(new))
            if set(wanted) != set(result):
                odd = sorted(set(wanted) ^ set(result))[0]
                raise UnprovedError(f"{before.name}: {odd} is in one of the two files only")
            for path, (origin, link) in wanted.items():
                _compare(_opened(old, origin, link), _opened(new, path, result[path]), origin, how)
            return len(wanted)
    except H5_ERRORS as error:
        raise UnprovedError(f"{before.name}: the HDF5 library does not read it again: {error}") from error


def _opened(file: Any, path: str, link: bytes | None) -> Any:
    """Open what a path leads to, or return the target of a soft link.

    Objects are not kept open: each dataset holds the chunks that were read in memory until it is closed.
    """
    return h5py.h5o.open(file.id, encoded(path)) if link is None else link


def _objects(file: Any) -> Iterator[tuple[str, bytes | None]]:
    """Yield the path of every link of a file, and the target of a soft link."""
    yield "/", None
    pending = [("", file["/"].id)]
    seen = {h5py.h5o.get_info(file["/"].id).addr}
    while pending:
        above, group = pending.pop()
        for name in link_names(group):
            path = f"{above}/{name.decode('utf-8', 'surrogateescape')}"
            if group.links.get_info(name).type == h5py.h5l.TYPE_SOFT:
                yield path, group.links.get_val(name)
                continue
            item = h5py.h5o.open(group, name)
            yield path, None
            address = h5py.h5o.get_info(item).addr
            if isinstance(item, h5py.h5g.GroupID) and address not in seen:
                seen.add(address)
                pending.append((path, item))


def _compare(old: Any, new: Any, path: str, how: Rewrite) -> None:
    if isinstance(old, bytes) or isinstance(new, bytes):
        if old != new:
            raise UnprovedError(f"{path} leads elsewhere in the result")
        return
    if type(old) is not type(new):
        raise UnprovedError(f"{path} is another kind of object in the result")
    if isinstance(old, h5py.h5d.DatasetID):
        same = old.get_type().equal(new.get_type()) and old.shape == new.shape
        spaces = [one.get_space().get_simple_extent_dims(True) if one.shape else None for one in (old, new)]
        if not same or spaces[0] != spaces[1] or _digest(old) != _digest(new):
            raise UnprovedError(f"{path} has another type, shape or other elements in the result")
        if has_checksum(old) and not has_checksum(new):
            raise UnprovedError(f"{path} has no checksums in the result")
    names = attribute_names(old)
    if how.attributes is not None and names:
        values = {name.decode("utf-8", "surrogateescape"): shown_attribute(old, name) for name in names}
        told = how.attributes(path, dict(values))
        same_names = [
            name
            for name in names
            if (text := name.decode("utf-8", "surrogateescape")) in told and told[text] is values[text]
        ]
        expected = {name.encode("utf-8", "surrogateescape") for name in told}
    else:
        same_names, expected = names, set(names)
    if set(attribute_names(new)) != expected:
        raise UnprovedError(f"{path} has other attributes in the result")
    for name in same_names:
        one, other = h5py.h5a.open(old, name), h5py.h5a.open(new, name)
        if (
            not one.get_type().equal(other.get_type())
            or one.shape != other.shape
            or not _same_value(one, other)
        ):
            raise UnprovedError(
                f"attribute {name.decode('utf-8', 'replace')} of {path} differs in the result"
            )


def _same_value(one: Any, other: Any) -> bool:
    if one.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        return bool(other.get_space().get_simple_extent_type() == h5py.h5s.NULL)
    first, second = attribute_value(one), attribute_value(other)
    return (
        _plain(first) == _plain(second)
        if is_variable(one.get_type())
        else first.tobytes() == second.tobytes()
    )


def _plain(value: Any) -> Any:
    """Return nested arrays of objects as lists that compare by value."""
    if isinstance(value, np.ndarray):
        return (
            [_plain(item) for item in value.reshape(-1)]
            if value.dtype == object or value.dtype.fields
            else value.tobytes()
        )
    if isinstance(value, np.void):
        return [_plain(value[name]) for name in value.dtype.names or ()] or value.tobytes()
    return value


def _digest(item: Any) -> str:
    kind = item.get_type()
    if item.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        return "null"
    if not is_variable(kind):
        return elements_digest(item)
    values = np.empty(item.shape, dtype=item.dtype)
    item.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return hashlib.sha256(repr(_plain(values)).encode("utf-8", "surrogateescape")).hexdigest()
