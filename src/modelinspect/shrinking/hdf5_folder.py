"""Shrink folders of Keras models: every HDF5 file in them is written again, and all other files are
copied.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from modelinspect.core.artifact import FormatName
from modelinspect.core.limits import MIB
from modelinspect.core.names import CONFIG_JSON
from modelinspect.core.records import dataclass, field
from modelinspect.formats.keras.config import read_json
from modelinspect.shrinking.hdf5 import WRAPPERS_STAY, record, record_dropped, stripped, survey, write
from modelinspect.shrinking.hdf5_copy import Rewrite, Tally
from modelinspect.shrinking.hdf5_witness import compare_hdf5
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.shrinking.steps import Drop, Job, NotShrinkableError, StepName, Witness
from modelinspect.shrinking.training import Strip, strip_store
from modelinspect.shrinking.unwrapping import unwrapped
from modelinspect.shrinking.zip_files import copy_source
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet

_HDF5 = (".h5", ".hdf5")
_SHARD_MAP = ".weights.json"
_TEXT_MOST = 64 * MIB


def shrink_hdf5_folder(job: Job) -> Witness:
    """Write a ``.keras`` folder, weights in shards or a preset again. Raises `NotShrinkableError`."""
    if job.files.primary is not None:
        raise NotShrinkableError(f"{job.files.primary}: is one file of a model in several; name its folder")
    return _Folder(job).run()


@dataclass(slots=True)
class _Folder:
    job: Job
    plain: Rewrite = field(init=False)
    hows: dict[str, Rewrite] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    copied: list[str] = field(default_factory=list)
    strips: dict[str, Strip] = field(default_factory=dict)
    total: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.plain = Rewrite(level=self.job.work.options.level)

    def run(self) -> Witness:
        job = self.job
        if job.work.drops(Drop.TRAINING):
            self._plan_training()
        saved = gone = 0
        names = sorted(
            job.files.names(), key=lambda name: name.endswith(_SHARD_MAP)
        )  # those after their shards
        for name in names:
            source, target = job.files.open(name), job.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(_SHARD_MAP) and self.strips:
                self._shard_map(name, source)
            if name in self.texts:
                target.write_bytes(self.texts[name])
                job.work.add(
                    StepName.STRIP_TRAINING_CONFIG, source.size - len(self.texts[name]), Drop.TRAINING, name
                )
                continue
            strip = self.strips.get(name)
            how = stripped(self.plain, strip) if strip is not None else self.plain
            tally = self._rewritten(source, how, name) if name.endswith(_HDF5) else None
            if tally is None or (target.stat().st_size >= source.size and not tally.dropped):
                copy_source(source, target)
                self.copied.append(name)
                continue
            won = source.size - target.stat().st_size
            gone += record_dropped(job.work, won, tally.dropped, strip) if strip is not None else 0
            saved += won
            for key in ("linked", "links", "deflated", "filtered"):
                setattr(self.total, key, getattr(self.total, key) + getattr(tally, key))
            self.total.dropped |= {f"{name}:{path}": size for path, size in tally.dropped.items()}
            self.hows[name] = how
        record(job.work, saved - gone, self.total)
        return self._witness

    def _plan_training(self) -> None:
        """Find what only training needs in the configuration and in each HDF5 file.

        Raises `NotShrinkableError` for folders whose parts belong to several models, and for wrapped layers
        in shards.
        """
        job = self.job
        if job.artifact.format is FormatName.KERAS_PRESET:
            raise NotShrinkableError(
                f"{job.artifact.location}: training state is dropped from Keras models and weights, not from"
                " presets, which have files for several objects"
            )
        config = None
        if CONFIG_JSON in job.files.names():
            source = job.files.open(CONFIG_JSON)
            config = read_json(_text(source))
            bare, _ = unwrapped(config)
            if not isinstance(bare, dict):
                raise NotShrinkableError(f"{job.artifact.location}: its {CONFIG_JSON} cannot be read")
            left = {key: value for key, value in bare.items() if key != "compile_config"}
            if left != config:
                self.texts[CONFIG_JSON] = json.dumps(left).encode()
                job.work.changed_documents = True
        shards = any(name.endswith(_SHARD_MAP) for name in job.files.names())
        for name in job.files.names():
            if not name.endswith(_HDF5):
                continue
            source = job.files.open(name)
            survey(source, job.work.limits)
            strip = self.strips[name] = strip_store(source, config)
            if strip.moved and shards:
                raise NotShrinkableError(f"{name}: has wrapped layers in shards, which are not stripped")
            if strip.wrappers_stay and WRAPPERS_STAY not in job.work.notes:
                job.work.notes.append(WRAPPERS_STAY)

    def _shard_map(self, name: str, source: Source) -> None:
        """Take what was dropped out of the list that says which shard has which variables."""
        told: Any = read_json(_text(source))
        places = told.get("weight_map") if isinstance(told, dict) else None
        if not isinstance(places, dict):
            raise NotShrinkableError(f"{name}: has no list of shards that can be read")
        strips = list(self.strips.values())
        kept = {key: value for key, value in places.items() if all(strip.keep(key) for strip in strips)}
        if kept == places:
            return
        made = {**told, "weight_map": kept}
        metadata = told.get("metadata")
        if isinstance(metadata, dict) and isinstance(metadata.get("total_size"), int | float):
            rest = max(metadata["total_size"] - sum(self.total.dropped.values()), 0)
            made["metadata"] = {**metadata, "total_size": rest}
        self.texts[name] = json.dumps(made, indent=4).encode()
        self.job.work.changed_documents = True

    def _rewritten(self, source: Source, how: Rewrite, name: str) -> Tally | None:
        """Write one file again; one that the library should not write stays as it is."""
        try:
            survey(source, self.job.work.limits)
            return write(source, self.job.folder / name, how, self.job.work.tick)
        except NotShrinkableError as reason:
            if how.attributes is not None:
                raise
            self.job.work.notes.append(f"{reason}; it stays as it is")
            return None

    def _witness(self, after: FileSet) -> Mapping[str, int]:
        before = self.job.files
        for name in self.copied:
            if _digest(before.open(name)) != _digest(after.open(name)):
                raise UnprovedError(f"{name} differs in the result")
        for name, text in self.texts.items():
            if _text(after.open(name)) != text:
                raise UnprovedError(f"{name} is not what was written")
        return {
            "h5py": sum(
                compare_hdf5(before.open(name), after.open(name), how) for name, how in self.hows.items()
            ),
            "files": len(self.copied) + len(self.texts),
        }


def _text(source: Source) -> bytes:
    if source.size > _TEXT_MOST:
        raise NotShrinkableError(f"{source.name}: has {source.size:,} bytes, too many for a description")
    return source.read_at(0, source.size)


def _digest(source: Source) -> str:
    found = hashlib.sha256()
    for at in range(0, source.size, MIB):
        found.update(source.read_at(at, min(MIB, source.size - at)))
    return found.hexdigest()
