"""Pack saved files again: HDF5 datasets under gzip, zip members deflated, whole files gzipped."""

from __future__ import annotations

import gzip
import shutil
import zipfile
from pathlib import Path
from typing import Any

LEVEL = 9
SMALLEST_CHUNKED = 1024
"""Datasets below it stay contiguous: the index of a chunked one would cost more than gzip gains."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of zip members that have none."""


def gzip_hdf5(source: Path, target: Path) -> None:
    """Copy an HDF5 file with its large datasets in one gzipped chunk each.

    The file format is that of HDF5 1.10, the oldest whose index of one chunk is a few bytes; the latest
    cannot be read by HDF5 1.14.
    """
    import h5py

    with h5py.File(source, "r") as before, h5py.File(target, "w", libver=("v110", "v110")) as after:
        _copy_attributes(before, after)
        waiting: list[tuple[Any, Any]] = [(before, after)]
        while waiting:
            old, new = waiting.pop()
            for name in old:
                item = old[name]
                if isinstance(item, h5py.Group):
                    copy = new.create_group(name)
                    waiting.append((item, copy))
                else:
                    copy = _copy_dataset(item, new, name)
                _copy_attributes(item, copy)


def deflate_zip(source: Path, target: Path) -> None:
    """Copy a zip file with all members deflated."""
    with (
        zipfile.ZipFile(source) as before,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as after,
    ):
        for info in before.infolist():
            entry = zipfile.ZipInfo(info.filename, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with before.open(info) as reader, after.open(entry, "w") as writer:
                shutil.copyfileobj(reader, writer)


def gzip_file(source: Path, target: Path) -> None:
    """Write the gzip of a file, without name and date."""
    with (
        source.open("rb") as reader,
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as writer,
    ):
        shutil.copyfileobj(reader, writer)


def _copy_dataset(item: Any, group: Any, name: str) -> Any:
    import h5py

    if item.shape and item.nbytes >= SMALLEST_CHUNKED and h5py.check_vlen_dtype(item.dtype) is None:
        return group.create_dataset(
            name, data=item[()], chunks=item.shape, compression="gzip", compression_opts=LEVEL
        )
    return group.create_dataset(name, data=item[()], dtype=item.dtype)


def _copy_attributes(old: Any, new: Any) -> None:
    for name, value in old.attrs.items():
        new.attrs[name] = value
