"""What a shrink is asked to do, what it did, and why it left a file alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path

from modelinspect.core.artifact import Artifact
from modelinspect.core.limits import Limits
from modelinspect.core.records import dataclass, field
from modelinspect.errors import ModelInspectError
from modelinspect.sources.files import FileSet


class Drop(StrEnum):
    """What may be dropped beyond what changes nothing."""

    TRAINING = "training"
    """Optimizer state, pruning masks and wrappers, metrics, training configuration."""
    NAMES = "names"
    """Debug names and strings."""
    UNREACHABLE = "unreachable"
    """Nodes and functions of a GraphDef that no output needs."""


LOSSLESS = "lossless"
"""The level of a step that changes no value and no document."""


class Loader(StrEnum):
    """A program that must load the result."""

    KERAS3 = "keras3"
    TF_KERAS = "tf_keras"
    H5PY = "h5py"
    TENSORFLOW = "tensorflow"
    TFLITE = "tflite"
    TFJS = "tfjs"
    SAFETENSORS = "safetensors"


class StepName(StrEnum):
    """What was done to make a file smaller."""

    HDF5_REPACK = "hdf5-repack"
    HDF5_DEFLATE = "hdf5-deflate"
    HDF5_LINK = "hdf5-link-duplicates"
    ZIP_DEFLATE = "zip-deflate"
    GZIP = "gzip"
    SHRINK_MEMBERS = "shrink-members"
    ALIAS = "alias-duplicates"
    DROP_UNREFERENCED = "drop-unreferenced"
    MERGE_SHARDS = "merge-shards"
    COMPACT_JSON = "compact-json"
    INDEX = "index-rewrite"
    SHARE_BUFFERS = "share-buffers"
    DROP_UNREACHABLE = "drop-unreachable"
    PACK_TABLES = "pack-tables"
    STRIP_OPTIMIZER = "strip-optimizer"
    STRIP_PRUNING = "strip-pruning"
    STRIP_TRAINING_CONFIG = "strip-training-config"
    STRIP_NAMES = "strip-names"
    PRECOMPRESS = "precompress"


@dataclass(frozen=True, slots=True)
class Options:
    """What to drop, what must load the result (empty: whatever loads the input), and how hard to compress (0
    to 9).
    """

    drop: frozenset[Drop] = frozenset()
    loaders: frozenset[Loader] = frozenset()
    level: int = 9
    precompress: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done; ``saved`` are the bytes that the result has less because of it."""

    name: StepName
    level: str
    saved: int
    note: str = ""


class NotShrinkableError(ModelInspectError):
    """The file is left as it is; the message says why."""


@dataclass(slots=True)
class Work:
    """What a format's writer needs, and what it reports: steps in the order done, and what it could not do.

    ``dropped`` are the names of tensors that the result lacks, with the level that allowed it; ``renamed``
    maps old names to new ones; ``changed`` are the names of tensors that hold names of what was dropped;
    ``changed_documents`` labels documents that a level changed; ``tick`` takes the bytes that were read.
    """

    options: Options
    limits: Limits
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dropped: dict[str, Drop] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    changed_documents: bool = False
    tick: Callable[[int], None] = lambda size: None

    def add(self, name: StepName, saved: int, level: str = LOSSLESS, note: str = "") -> None:
        """Record a step; one that saved nothing is left out."""
        if saved > 0:
            self.steps.append(Step(name, level, saved, note))

    def drops(self, level: Drop) -> bool:
        """Return whether a level may be dropped."""
        return level in self.options.drop


@dataclass(frozen=True, slots=True)
class Job:
    """An artifact whose files are open, the folder that takes its new files under their old names, and the
    work to report to.
    """

    artifact: Artifact
    files: FileSet
    folder: Path
    work: Work

    @property
    def primary(self) -> str:
        """The name of the one file of the artifact. Raises `NotShrinkableError` where it is a folder."""
        if self.files.primary is None:
            raise NotShrinkableError(f"{self.artifact.location}: is a folder")
        return self.files.primary


Witness = Callable[[FileSet], Mapping[str, int]]
"""Compares the result's files with the input by an independent reader: how many things each reader found
equal.

Raises `UnprovedError`.
"""
