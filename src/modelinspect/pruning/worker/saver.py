"""Save one stage of a network in every way that the job asks for, and pack saved files again: HDF5 datasets
under gzip, zip members deflated, whole files gzipped.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from modelinspect.pruning.errors import PruningError
from modelinspect.pruning.events import Event, SavedEvent, StartEvent
from modelinspect.pruning.job import Job
from modelinspect.pruning.methods import GZ, GZ_GAIN, METHODS, Stage, with_sources
from modelinspect.pruning.worker.reasons import is_full_disk, reason_of

Send = Callable[[Event], None]
Save = Callable[[str, Path, Path], None]
"""Writes the network by the method of that name at a path, with a folder for what conversions share."""


class DiskFullError(PruningError):
    """The disk is full: no other method could do better."""


class Saver:
    """Saves one stage in every way that the job asks for."""

    def __init__(self, job: Job, send: Send, stage: Stage, save: Save) -> None:
        self.job, self.send, self.stage, self.save = job, send, stage, save
        self.folder = Path(job.folder) / stage
        self.folder.mkdir(exist_ok=True)
        self.scratch = Path(tempfile.mkdtemp())

    def save_all(self) -> None:
        """Save, pack, gzip, and drop what was only saved to be packed."""
        try:
            self._save_all()
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _save_all(self) -> None:
        for name in with_sources(self.job.methods):
            self._attempt(name, partial(self._save, name))
        self._pack("hdf5-gzip", gzip_hdf5)
        self._pack("keras-deflate", deflate_zip)
        if GZ in self.job.methods:
            self._gzip_all()
        for name in set(with_sources(self.job.methods)) - set(self.job.methods):
            _remove(self.folder / METHODS[name].path)

    def _save(self, name: str, target: Path) -> None:
        self.save(name, target, self.scratch)

    def _pack(self, name: str, pack: Callable[[Path, Path], None]) -> None:
        if name not in self.job.methods:
            return
        source = self.folder / METHODS[METHODS[name].of].path
        if not source.exists():
            self.send(SavedEvent(self.stage, name, reason=f"{METHODS[name].of} was not made"))
            return
        self._attempt(name, lambda target: pack(source, target))

    def _gzip_all(self) -> None:
        for name in self.job.methods:
            if name not in with_sources(self.job.methods):
                continue  # what is packed already
            source = self.folder / METHODS[name].path
            if source.is_file():
                self._gzip(name, source)

    def _gzip(self, name: str, source: Path) -> None:
        target = source.with_name(f"{source.name}.gz")
        try:
            gzip_file(source, target)
        except OSError as problem:
            self._fail_if_full(problem)
            raise PruningError(f"{target.name}: {reason_of(problem)}") from problem
        if target.stat().st_size > source.stat().st_size * (1 - GZ_GAIN):
            target.unlink()
        else:
            self.send(SavedEvent(self.stage, f"{name}.{GZ}", f"{self.stage}/{target.name}"))

    def _attempt(self, name: str, write: Callable[[Path], None]) -> None:
        """Write one artifact; whatever is raised becomes the row's reason, but for a full disk."""
        if (str(self.stage), name) in self.job.done:
            return
        asked = name in self.job.methods
        path = METHODS[name].path
        target = self.folder / path
        _remove(target)
        if asked:
            self.send(StartEvent(self.stage, name))
        try:
            write(target)
        except Exception as problem:  # noqa: BLE001 - converters raise every kind; what a method cannot do is a row with the reason
            _remove(target)
            self._fail_if_full(problem)
            if asked:
                self.send(SavedEvent(self.stage, name, reason=reason_of(problem)))
            return
        if asked:
            self.send(SavedEvent(self.stage, name, f"{self.stage}/{path}"))

    def _fail_if_full(self, problem: Exception) -> None:
        if is_full_disk(problem) or shutil.disk_usage(self.folder).free < 4096:
            raise DiskFullError("no space is left on the disk") from problem


def _remove(target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


_LEVEL = 9
_SMALLEST_CHUNKED = 1024
"""Datasets below it stay contiguous: the index of a chunked one would cost more than gzip gains."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
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
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as after,
    ):
        for info in before.infolist():
            entry = zipfile.ZipInfo(info.filename, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with before.open(info) as reader, after.open(entry, "w") as writer:
                shutil.copyfileobj(reader, writer)


def gzip_file(source: Path, target: Path) -> None:
    """Write the gzip of a file, without name and date."""
    with (
        source.open("rb") as reader,
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as writer,
    ):
        shutil.copyfileobj(reader, writer)


def _copy_dataset(item: Any, group: Any, name: str) -> Any:
    import h5py

    if item.shape and item.nbytes >= _SMALLEST_CHUNKED and h5py.check_vlen_dtype(item.dtype) is None:
        return group.create_dataset(
            name, data=item[()], chunks=item.shape, compression="gzip", compression_opts=_LEVEL
        )
    return group.create_dataset(name, data=item[()], dtype=item.dtype)


def _copy_attributes(old: Any, new: Any) -> None:
    for name, value in old.attrs.items():
        new.attrs[name] = value
