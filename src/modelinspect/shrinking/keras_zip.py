"""Shrink ``.keras`` files: the HDF5 inside written again, and every member deflated."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from modelinspect.core.limits import MIB
from modelinspect.core.names import CONFIG_JSON, WEIGHTS_H5
from modelinspect.formats.keras.config import read_json
from modelinspect.measure.rewrite import ZIP_ERRORS, as_file
from modelinspect.shrinking.hdf5 import record_dropped, stripped, survey, write
from modelinspect.shrinking.hdf5_copy import Rewrite, Tally
from modelinspect.shrinking.hdf5_witness import compare_hdf5
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.shrinking.steps import Drop, Job, NotShrinkableError, StepName, Witness
from modelinspect.shrinking.training import Strip, strip_store
from modelinspect.shrinking.unwrapping import unwrapped
from modelinspect.shrinking.zip_files import (
    Archive,
    beyond_guard,
    compare_members,
    is_smaller_deflated,
    remove,
)
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet
from modelinspect.sources.local_files import LocalSource

_CONFIG_MOST = 64 * MIB


def shrink_keras_zip(job: Job) -> Witness:
    """Write a ``.keras`` archive again. Raises `NotShrinkableError`."""
    source = job.files.open(job.primary)
    archive = Archive(source, job.work.limits, job.work.options.level, job.work.tick)
    scratch = job.folder / ".scratch"
    scratch.mkdir()
    try:
        return _Shrinking(job, archive, scratch).run()
    except ZIP_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise NotShrinkableError(f"{source.name}: zipfile does not read it: {error}") from error
    finally:
        remove(scratch)


class _Shrinking:
    def __init__(self, job: Job, archive: Archive, scratch: Path) -> None:
        self._job = job
        self._archive = archive
        self._scratch = scratch
        self._how = Rewrite(level=job.work.options.level, hosted=True)
        self._inner: dict[str, Path] = {}
        self._hows: dict[str, Rewrite] = {}
        self._config: object = None
        self._strip = Strip()

    def run(self) -> Witness:
        job, name = self._job, self._job.primary
        members = {info.filename: info.file_size for info in self._archive.members()}
        names = [member for member in members if member.endswith(".h5")]
        if job.work.drops(Drop.TRAINING):
            self._drop_training(members)
        tallies = [tally for tally in map(self._rewrite, names) if tally is not None]
        target = job.folder / name
        self._archive.write(target)
        if beyond_guard(target):
            self._how = Rewrite(level=self._how.level)
            tallies = [tally for tally in map(self._rewrite, names) if tally is not None]
            self._archive.write(target)
            if odd := beyond_guard(target):
                raise NotShrinkableError(f"{name}: member {odd[0]} would expand more than Keras allows")
        source = job.files.open(name)
        saved = source.size - target.stat().st_size
        for tally in tallies:
            saved -= record_dropped(job.work, saved, tally.dropped, self._strip)
        linked = min(sum(tally.linked for tally in tallies), max(saved, 0))
        job.work.add(StepName.HDF5_LINK, linked, note="datasets that equal another are stored once")
        job.work.add(StepName.ZIP_DEFLATE, saved - linked, note=_what(self._archive.replaced, names))
        inner = tuple(member for member in self._archive.replaced if member in names)
        expected = {
            member: path.read_bytes()
            for member, path in self._archive.replaced.items()
            if member not in inner
        }
        hows = dict(self._hows)

        def witness(after: FileSet) -> Mapping[str, int]:
            equal = compare_members(source, after.open(name), dict.fromkeys([*inner, *expected]))
            equal += _compare_texts(after.open(name), expected)
            return {
                "zipfile": equal,
                **({"h5py": _compare_inner(source, after.open(name), inner, hows, job)} if inner else {}),
            }

        return witness

    def _rewrite(self, name: str) -> Tally | None:
        """Write one HDF5 member again; one that the library should not write stays as it is."""
        original = self._scratch / f"{len(self._inner)}.h5"
        if name not in self._inner:
            self._inner[name] = original
            self._archive.extract(name, original)
        target = self._inner[name].with_suffix(".new")
        with LocalSource(self._inner[name], name) as source:
            try:
                survey(source, self._job.work.limits)
                how = self._how
                if self._job.work.drops(Drop.TRAINING) and name == WEIGHTS_H5:
                    self._strip = strip_store(source, self._config)
                    how = stripped(how, self._strip)
                tally = write(source, target, how, self._job.work.tick)
                self._hows[name] = how
            except NotShrinkableError as reason:
                if self._job.work.drops(Drop.TRAINING):
                    raise
                self._job.work.notes.append(f"{reason}; deflated as it is")
                return None
        if not self._job.work.drops(Drop.TRAINING) and not is_smaller_deflated(
            target, self._inner[name], how.level
        ):
            return None  # deflating what is there takes less than the newest structures, deflated
        self._archive.replaced[name] = target
        return tally

    def _drop_training(self, members: Mapping[str, int]) -> None:
        """Take wrappers and the training configuration out of the model's configuration.

        Raises `NotShrinkableError`.
        """
        if WEIGHTS_H5 not in members:
            raise NotShrinkableError(
                f"{self._job.primary}: training state is dropped from {WEIGHTS_H5} only, which it does not"
                " have"
            )
        if members.get(CONFIG_JSON, _CONFIG_MOST + 1) > _CONFIG_MOST:
            raise NotShrinkableError(f"{self._job.primary}: has no {CONFIG_JSON} that can be read")
        old, new = self._scratch / CONFIG_JSON, self._scratch / "config.new"
        self._archive.extract(CONFIG_JSON, old)
        self._config = read_json(old.read_bytes())
        bare, _ = unwrapped(self._config)
        if not isinstance(bare, dict):
            raise NotShrinkableError(f"{self._job.primary}: its {CONFIG_JSON} cannot be read")
        left = {key: value for key, value in bare.items() if key != "compile_config"}
        if left == self._config:
            return
        new.write_text(json.dumps(left), encoding="utf-8")
        self._archive.replaced[CONFIG_JSON] = new
        self._job.work.changed_documents = True


def _what(replaced: Mapping[str, Path], hdf5: list[str]) -> str:
    """Return what was done to the members, in words."""
    return (
        "the HDF5 inside without free space, every member deflated"
        if any(name in replaced for name in hdf5)
        else "members deflated"
    )


def _compare_texts(after: Source, expected: Mapping[str, bytes]) -> int:
    """Compare members that were changed on purpose with what they should be. Raises `UnprovedError`."""
    with zipfile.ZipFile(as_file(after)) as archive:
        for name, text in expected.items():
            if archive.read(name) != text:
                raise UnprovedError(f"{name} is not what was written")
    return len(expected)


def _compare_inner(
    before: Source, after: Source, names: tuple[str, ...], hows: Mapping[str, Rewrite], job: Job
) -> int:
    """Compare the HDF5 members of two archives with h5py, unpacked beside each other."""
    scratch = job.folder / ".witness"
    scratch.mkdir()
    total = 0
    try:
        for name in names:
            places = scratch / "before.h5", scratch / "after.h5"
            for source, place in zip((before, after), places, strict=True):
                Archive(source, job.work.limits, 0).extract(name, place)
            with LocalSource(places[0], name) as old, LocalSource(places[1], name) as new:
                total += compare_hdf5(old, new, hows[name])
    finally:
        remove(scratch)
    return total
