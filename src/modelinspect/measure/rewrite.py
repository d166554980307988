"""Write an HDF5 file again without some of its objects, with h5py as Keras does, and count its bytes.

The copy is a temporary file full of holes: of a dataset that is stored as it is, one element is written,
which makes the library allocate all of it. Only files that were walked without any trouble are given to the
library.
"""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from modelinspect.core.limits import MIB, Limits
from modelinspect.core.names import MODEL_WEIGHTS, TOP_LEVEL_WEIGHTS
from modelinspect.core.records import dataclass
from modelinspect.encodings.hdf5.checksum import lookup3
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.measure.compressors import deflated_size
from modelinspect.sources.base import Source

Attributes = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Changes the attributes of the object at a path: values by name, in order."""


@dataclass(frozen=True, slots=True)
class NewArray:
    """A dataset to be written in place of others: its shape, and its NumPy type; "" for the type, with the
    attributes, of the first dataset of the group.
    """

    shape: tuple[int, ...]
    dtype: str = ""


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What to write: ``keep`` says which objects, ``rename`` where, ``attributes`` with what.

    ``linked_last`` writes datasets before they get their names, as ``group[name] = array`` does;
    ``through_file`` writes through a Python file, as Keras does into an archive: the library then allocates
    no blocks ahead. ``by_layer`` writes layers by name and their weights as listed, as Keras writes a model;
    ``by_container`` each container's own variables before those within, as it writes weights. Files of
    another structure are written in the order in which they were made. ``with_elements`` writes all elements,
    to be compressed. ``arrays`` gives, for the path of a group, the datasets that replace all that it has;
    None where they stay. These are written without their elements.
    """

    keep: Callable[[str], bool] = lambda path: True
    rename: Callable[[str], str] = lambda path: path
    attributes: Attributes = lambda path, values: values
    linked_last: bool = False
    through_file: bool = False
    by_layer: bool = False
    by_container: bool = False
    with_elements: bool = False
    arrays: Callable[[str], Mapping[str, NewArray] | None] = lambda path: None


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The size of a file that was written again, and its bytes where elements were written too."""

    size: int
    data: bytes | None = None


def rewritten(source: Source, rewriting: Rewriting) -> Rewritten:
    """Return the file once written again.

    Raises `UnmeasurableError` where the library does not read or write it.
    """
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "copy.h5"
        try:
            with (
                h5py.File(FileLike(source), "r") as old,
                target.open("w+b") as raw,
                h5py.File(raw if rewriting.through_file else target, "w") as new,
            ):
                _Copier(old, new, rewriting).run()
        except (
            OSError,
            RuntimeError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
        ) as error:
            raise UnmeasurableError(f"the HDF5 library does not write it again: {error}") from error
        return Rewritten(target.stat().st_size, target.read_bytes() if rewriting.with_elements else None)


def library_version() -> str:
    """Return the version of the HDF5 library that writes."""
    import h5py

    return str(h5py.version.hdf5_version)


def repacked_size(source: Source, limits: Limits, *, gzip: bool) -> tuple[int, int | None]:
    """Return the size of the file once h5py wrote it again in the newest layout; with gzip, in one chunk
    each.

    The second is what deflate makes of all of it, None where that would take long.
    Raises `UnmeasurableError` where the library does not read or write it.
    """
    import h5py

    filters = {"compression": "gzip", "compression_opts": 9}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "copy.h5"
        try:
            with h5py.File(FileLike(source), "r") as old, h5py.File(target, "w", libver="latest") as new:

                def copy(name: str, item: Any) -> None:
                    if isinstance(item, h5py.Dataset):
                        limits.allow(f"the dataset {name}", item.nbytes, limits.structure_size, source.name)
                        chunked = (
                            {**filters, "chunks": item.shape} if gzip and item.nbytes >= LEAST_GZIPPED else {}
                        )
                        made = new.create_dataset(name, data=item[()], **chunked)
                    else:
                        made = new.require_group(name)
                    made.attrs.update(item.attrs)

                old.visititems(copy)
                new.attrs.update(old.attrs)
        except (
            OSError,
            RuntimeError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
        ) as error:
            raise UnmeasurableError(f"the HDF5 library does not write it again: {error}") from error
        size = target.stat().st_size
        return size, deflated_size([_without_times(target.read_bytes())]) if size <= MOST_DEFLATED else None


def _without_times(stored: bytes) -> bytes:
    """Return a file whose groups were all made at one time: when that is would change what the file
    compresses to.

    Object headers of version 2 hold four times where bit 5 of their flags says so, and a checksum at the end
    of the first chunk.
    """
    data = bytearray(stored)
    for found in re.finditer(rb"OHDR\x02", stored):
        start, flags = found.start(), stored[found.end()] if found.end() < len(stored) else 0
        if not flags & 0x20:
            continue
        place = start + 22 + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        end = place + width + int.from_bytes(stored[place : place + width], "little")
        if end + 4 <= len(data):
            data[start + 6 : start + 22] = _SOME_TIME * 4
            data[end : end + 4] = lookup3(bytes(data[start:end])).to_bytes(4, "little")
    return bytes(data)


_SOME_TIME = (1_700_000_000).to_bytes(4, "little")
MOST_DEFLATED = 64 * MIB
"""Larger files are not written with their elements to see what they compress to."""
LEAST_GZIPPED = 1024
"""Datasets of fewer bytes are left as they are: the structures of a chunk would cost more."""


class FileLike:
    """A source as h5py and zipfile want a file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._source.size}[whence]
        self._position = base + offset
        return self._position

    def seekable(self) -> bool:
        """Return that any place can be moved to."""
        return True

    def tell(self) -> int:
        """Return the place."""
        return self._position

    def readinto(self, buffer: memoryview) -> int:
        """Read as much as there is."""
        view = memoryview(buffer).cast("B")
        size = max(min(len(view), self._source.size - self._position), 0)
        self._source.read_into(self._position, view[:size])
        self._position += size
        return size

    def read(self, size: int = -1) -> bytes:
        """Read as much as there is."""
        left = max(self._source.size - self._position, 0)
        data = self._source.read_at(self._position, left if size < 0 else min(size, left))
        self._position += len(data)
        return data


def as_file(source: Source) -> IO[bytes]:
    """Return a source as zipfile wants a file, to be only read."""
    return cast("IO[bytes]", cast("Any", FileLike(source)))


ZIP_ERRORS = (
    zipfile.BadZipFile,
    OSError,
    RuntimeError,
    NotImplementedError,
    EOFError,
    ValueError,
    KeyError,
    zlib.error,
)
"""What zipfile raises of archives that are damaged or of another kind."""


@dataclass(slots=True)
class _Copier:
    """Copies objects in the order in which they were made: that of their headers."""

    old: Any
    new: Any
    rewriting: Rewriting

    def run(self) -> None:
        """Copy all that is kept."""
        import h5py

        self._attributes(self.old, self.new, "/")
        if self.rewriting.by_layer and _is_model(self.old):
            self._layers()
            return
        found: dict[int, str] = {}
        for path, address in _objects(self.old):
            found.setdefault(address, path)
        paths = [found[address] for address in sorted(found)]
        replaced: set[str] = set()
        for path in _by_container(found) if self.rewriting.by_container else paths:
            if not self.rewriting.keep(path):
                continue
            item = self.old[path]
            target = self.rewriting.rename(path)
            if isinstance(item, h5py.Group):
                made = self.new.require_group(target)
                self._attributes(item, made, path)
                arrays = self.rewriting.arrays(path)
                if arrays is not None:
                    replaced.add(path)
                    self._replace(item, made, path, arrays)
            elif isinstance(item, h5py.Dataset) and path.rpartition("/")[0] not in replaced:
                self._dataset(item, target, path)

    def _replace(self, old: Any, new: Any, path: str, arrays: Mapping[str, NewArray]) -> None:
        """Write other datasets into a group, each with one element, which makes the library allocate all."""
        first = old[min(old)]
        for name, array in arrays.items():
            kind = first.id.get_type() if not array.dtype else np.dtype(array.dtype)
            made = new.create_dataset(None, array.shape, dtype=kind)
            if 0 not in array.shape:
                made[(0,) * len(array.shape)] = np.zeros((), dtype=made.dtype)
            new[name] = made
            if not array.dtype:
                self._attributes(first, made, f"{path}/{name}")

    def _layers(self) -> None:
        """Copy a model's weights: the group of each layer, its attributes, and the weights that they name."""
        group = self.old[_WEIGHTS]
        self._attributes(group, self.new.create_group(self.rewriting.rename(_WEIGHTS)), _WEIGHTS)
        paths = [f"{_WEIGHTS}/{name}" for name in group if self.rewriting.keep(f"{_WEIGHTS}/{name}")]
        for path in sorted(paths, key=lambda each: (each.endswith(_TOP), self.rewriting.rename(each))):
            layer = self.old[path]
            self._attributes(layer, self.new.create_group(self.rewriting.rename(path)), path)
            for name in layer.attrs["weight_names"]:
                inner = f"{path}/{name.decode() if isinstance(name, bytes) else name}"
                if self.rewriting.keep(inner):
                    self._dataset(self.old[inner], self.rewriting.rename(inner), inner)

    def _dataset(self, item: Any, target: str, path: str) -> None:
        import h5py

        last = self.rewriting.linked_last
        made = self.new.create_dataset(None if last else target, item.shape, dtype=item.id.get_type())
        if item.shape is not None and 0 not in item.shape and not h5py.check_vlen_dtype(item.dtype):
            if self.rewriting.with_elements and item.nbytes <= MOST_DEFLATED:
                made[()] = item[()]
            else:
                made[(0,) * len(item.shape)] = np.zeros((), dtype=item.dtype)
        if last:
            self.new[target] = made
        self._attributes(item, made, path)

    def _attributes(self, old: Any, new: Any, path: str) -> None:
        values = {name: old.attrs.get_id(name) for name in _attribute_names(old)}
        attributes = self.rewriting.attributes(path, {name: old.attrs[name] for name in values})
        for name, value in attributes.items():
            kept = values.get(name)
            if kept is not None and value is not None and _same(value, old.attrs[name]):
                new.attrs.create(name, value, shape=kept.shape, dtype=kept.dtype)
            else:
                new.attrs[name] = value


_WEIGHTS, _TOP = f"/{MODEL_WEIGHTS}", f"/{TOP_LEVEL_WEIGHTS}"


def _is_model(file: Any) -> bool:
    """Return whether every layer of a model lists its weights, and they are where it says."""
    group = file.get(_WEIGHTS)
    if group is None or "layer_names" not in group.attrs:
        return False
    for name in group:
        names = group[name].attrs.get("weight_names")
        if names is None or any(
            (each.decode() if isinstance(each, bytes) else each) not in group[name] for each in names
        ):
            return False
    return True


def _by_container(found: dict[int, str]) -> list[str]:
    """Return paths as Keras makes them: a group, its ``vars``, then the others, the first that was finished
    first.

    The library reuses the holes that growing tables leave, so single addresses are not in the order of
    making; the last of all that is below a group is.
    """
    last: dict[str, int] = {}
    for address, path in found.items():
        parts = path.split("/")
        for length in range(2, len(parts) + 1):
            above = "/".join(parts[:length])
            last[above] = max(last.get(above, 0), address)

    def key(path: str) -> list[tuple[int, int, str]]:
        parts = path.split("/")
        names = ["/".join(parts[:length]) for length in range(2, len(parts) + 1)]
        return [(0 if name.endswith("/vars") else 1, last[name], name) for name in names]

    return sorted(found.values(), key=key)


def _same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(np.asarray(one), np.asarray(other)))


def _attribute_names(item: Any) -> list[str]:
    """Return the names of attributes in the order in which they were written."""
    import h5py

    found: list[str] = []

    def visit(name: bytes, *_: object) -> None:
        found.append(name.decode("utf-8", "surrogateescape"))

    try:
        h5py.h5a.iterate(item.id, visit, index_type=h5py.h5.INDEX_CRT_ORDER)
    except (ValueError, RuntimeError):
        found = list(item.attrs)
    return found


def _objects(file: Any) -> list[tuple[str, int]]:
    """Return the path and the address of every object below the root."""
    import h5py

    found: list[tuple[str, int]] = []

    def visit(name: str) -> None:
        path = "/" + (name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name)
        found.append(
            (path, h5py.h5o.get_info(file.id, name.encode() if isinstance(name, str) else name).addr)
        )

    file.visit(visit)
    return found
