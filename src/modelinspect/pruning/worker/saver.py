"""Save one stage of a network in every way that the job asks for."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from modelinspect.pruning.errors import PruningError
from modelinspect.pruning.events import Event, SavedEvent, StartEvent
from modelinspect.pruning.job import Job
from modelinspect.pruning.methods import GZ, GZ_GAIN, METHODS, Stage, with_sources
from modelinspect.pruning.packing import deflate_zip, gzip_file, gzip_hdf5
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
