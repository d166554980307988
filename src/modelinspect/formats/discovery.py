"""Find the artifacts among the files of a folder: what belongs together by name, and what else is a model by
its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from modelinspect.core import signatures
from modelinspect.core.limits import Limits
from modelinspect.core.names import CONFIG_JSON, SAVED_MODELS, TFJS_MANIFEST, TFJS_MODEL
from modelinspect.errors import FormatError, LocationError, ModelInspectError, UnknownFormatError
from modelinspect.formats.archives.format import ArchiveFormat
from modelinspect.formats.base import Parsing
from modelinspect.formats.preset.members import Part, part_of
from modelinspect.formats.registry import detect
from modelinspect.formats.safetensors.header import LENGTH, header_size
from modelinspect.sources.files import FileSet
from modelinspect.sources.listing import Folder, ListedFile

HEAD = 512
"""Bytes of a file that are read to see whether it may be a model."""

_WHOLE = frozenset(SAVED_MODELS)
"""A folder with one of them is an artifact with everything in it."""
_STEPS = frozenset(("_CHECKPOINT_METADATA", "orbax.checkpoint", "pytree.orbax-checkpoint", "manifest.ocdbt"))
"""Files in the folder of a step of an Orbax checkpoint."""
_WITH_CONFIG = frozenset(
    (
        Part.KERAS_WEIGHTS,
        Part.KERAS_INDEX,
        Part.LEGACY_WEIGHTS,
        Part.LEGACY_INDEX,
        Part.SAFETENSORS,
        Part.SAFETENSORS_INDEX,
    )
)
"""What makes a folder with a configuration one artifact: a preset, a Hugging Face folder, an unpacked
``.keras``.
"""
_ONE_FOLDER = _WHOLE | _STEPS | {CONFIG_JSON}
"""A folder without any of them is not one artifact."""
_OWNERS = (".index", ".json")
"""How the names of files end that others may belong to."""
_SUFFIXES = (
    *(
        ".index",
        ".h5",
        ".hdf5",
        ".keras",
        ".tflite",
        ".lite",
        ".pb",
        ".pbtxt",
        ".meta",
        ".task",
        ".ckpt",
        ".weights.json",
    ),
    *(
        ".litertlm",
        ".safetensors",
        ".safetensors.index.json",
        ".mlirbc",
        ".stablehlo",
        ".gz",
        ".zip",
        ".tar",
        ".tgz",
    ),
)
"""Names of models: such a file is an artifact also where it is damaged, and then a row with its problem."""
_DESCRIPTIONS = frozenset((TFJS_MODEL, TFJS_MANIFEST))
"""What TensorFlow.js calls the files that list its weights."""
_OTHERS = frozenset(
    (
        *(
            ".txt",
            ".md",
            ".rst",
            ".py",
            ".pyc",
            ".ipynb",
            ".sh",
            ".yaml",
            ".yml",
            ".toml",
            ".cfg",
            ".ini",
            ".csv",
            ".tsv",
            ".json",
            ".jsonl",
        ),
        *(
            ".html",
            ".css",
            ".js",
            ".xml",
            ".svg",
            ".png",
            ".jpg",
            ".jpeg",
            ".gif",
            ".webp",
            ".pdf",
            ".log",
            ".lock",
            ".jinja",
            ".parquet",
        ),
        *(
            ".whl",
            ".jar",
            ".apk",
            ".aar",
            ".docx",
            ".xlsx",
            ".pptx",
            ".epub",
            ".so",
            ".dll",
            ".dylib",
            ".exe",
            ".mp3",
            ".wav",
            ".mp4",
        ),
    )
)
"""Suffixes of what is not a model: such files are not opened."""
_SHARD = re.compile(r"(?P<stem>.+)-\d{5}-of-\d{5}\.safetensors|(?P<keras>.+)_\d{5}\.weights\.h5")
_MAGIC: tuple[tuple[int, bytes], ...] = (
    *(
        (0, magic)
        for magic in (signatures.HDF5, signatures.LITERTLM, signatures.MLIR, signatures.ZIP, signatures.GZIP)
    ),
    *(
        (signatures.TFLITE_OFFSET, signatures.TFLITE),
        (8, signatures.TFLITE),
        (signatures.TAR_OFFSET, signatures.TAR),
    ),
    *(
        (0, b"node {"),
        (0, b"meta_info_def {"),
        (0, b"saved_model_schema_version"),
        (0, b"\x0a"),
        (0, b"\x08\x01\x12"),
    ),
)
"""How the bytes of models begin; those of graphs may also begin something else, and are looked at more
closely.
"""

Recognize = Callable[[str], bool]


def group(names: Iterable[str], recognize: Recognize | None = None) -> tuple[list[str], int]:
    """Return which of the names of a folder's files are artifacts ("." is the folder itself), and how many
    others there are.

    ``recognize`` is asked of files that no name gives away. A SavedModel's folder is one artifact with all
    that is in it, as are the folders of presets and of Orbax checkpoints; an index is one with its shards, a
    TensorFlow.js ``model.json`` one with its weights.
    """
    paths = [PurePosixPath(name) for name in names]
    folders = _outermost(_folders(paths))
    found = {str(folder) for folder in folders}
    loose = [path for path in paths if not folders.intersection((*path.parents,))]
    beside = _Companions(loose)
    skipped = 0
    for path in loose:
        if beside.has(path):
            continue
        if _is_named(path) or (
            recognize is not None and path.suffix.lower() not in _OTHERS and recognize(str(path))
        ):
            found.add(str(path))
        else:
            skipped += 1
    return sorted(found), skipped


def _folders(paths: list[PurePosixPath]) -> set[PurePosixPath]:
    found = {path.parent for path in paths if path.name in _WHOLE}
    configured = {path.parent for path in paths if path.name == CONFIG_JSON}
    found |= {
        path.parent for path in paths if path.parent in configured and part_of(path.name) in _WITH_CONFIG
    }
    for path in paths:
        if path.name in _STEPS:
            found.add(path.parent.parent if path.parent.name.isdigit() else path.parent)
    return found


def _outermost(folders: set[PurePosixPath]) -> set[PurePosixPath]:
    return {folder for folder in folders if not any(parent in folders for parent in folder.parents)}


class Candidate(NamedTuple):
    """What may be an artifact: its name within the folder that was searched ("." is the folder itself), and
    every file that belongs to it.

    ``is_named`` is whether names give it away; otherwise its bytes have to say whether it is a model.
    """

    name: str
    members: tuple[ListedFile, ...]
    is_named: bool = True


def discover(folder: Folder, skip: Callable[[int], None]) -> Iterator[Candidate]:
    """Yield the artifacts below a folder as `group` finds them, one folder after another: only the names of
    one folder are held.

    ``skip`` receives how many files are not models by their names. Files that no name gives away are
    candidates, and so are folders that cannot be listed.
    """
    found = _whole(folder, "")
    if found is not None:
        yield found
        return
    yield from _loose(folder.files, "", skip)
    pending = [(folder, "", iter(folder.folders))]
    while pending:
        outer, path, names = pending[-1]
        name = next(names, None)
        if name is None:
            pending.pop()
            continue
        place = f"{path}/{name}" if path else name
        inner = _entered(outer, name)
        if inner is None:
            yield Candidate(place, ())  # whoever opens it learns why it cannot be listed
            continue
        found = _whole(inner, place)
        if found is not None:
            yield found
            continue
        yield from _loose(inner.files, place, skip)
        pending.append((inner, place, iter(inner.folders)))


def companions(location: str) -> Callable[[str], bool] | None:
    """Return whether a file beside an artifact of this name belongs to it, as a function of its name; None
    where no file does.
    """
    name = location.rpartition("/")[2]
    if name.endswith((".index", ".safetensors.index.json", ".weights.json")) or name in _DESCRIPTIONS:
        beside = _Companions([PurePosixPath(name)])
        return lambda other: beside.owner(PurePosixPath(other)) is not None
    return None


def _whole(folder: Folder, path: str) -> Candidate | None:
    """Return a folder that is one artifact with everything in it, None where it is not; steps of Orbax are
    looked for one level below.
    """
    names = [file.name for file in folder.files]
    is_one = not _ONE_FOLDER.isdisjoint(names) and bool(_folders([PurePosixPath(name) for name in names]))
    if not is_one:
        steps = filter(None, (_entered(folder, name) for name in folder.folders if name.isdigit()))
        is_one = any(file.name in _STEPS for step in steps for file in step.files)
    return Candidate(path or ".", tuple(_all_files(folder))) if is_one else None


def _all_files(folder: Folder) -> Iterator[ListedFile]:
    """Yield every file below a folder, with its name within it."""
    pending = [(folder, "")]
    while pending:
        inner, path = pending.pop()
        for file in inner.files:
            yield file._replace(name=f"{path}{file.name}")
        entered = ((_entered(inner, name), f"{path}{name}/") for name in inner.folders)
        pending += [(one, within) for one, within in entered if one is not None]


def _entered(folder: Folder, name: str) -> Folder | None:
    """Return a folder of a folder, None where it cannot be listed: one such folder does not end a search."""
    try:
        return folder.enter(name)
    except LocationError:
        return None


def _loose(files: Sequence[ListedFile], path: str, skip: Callable[[int], None]) -> Iterator[Candidate]:
    """Yield the artifacts among the files of a folder that is not one artifact."""
    owners = _owners(files)
    owned: dict[str, list[ListedFile]] = {}
    for file in files if owners else ():
        if owner := owners.get(file.name):
            owned.setdefault(owner, []).append(file)
    for file in files:
        name = file.name
        if name in owners:
            continue
        is_named = name in _DESCRIPTIONS or name.lower().endswith(_SUFFIXES)
        if is_named or PurePosixPath(name).suffix.lower() not in _OTHERS:
            yield Candidate(f"{path}/{name}" if path else name, (file, *owned.get(name, ())), is_named)
        else:
            skip(1)


def _owners(files: Sequence[ListedFile]) -> dict[str, str]:
    """Return what files of a folder belong to another one, and to which; empty where it is not one alone."""
    if not any(file.name.endswith(_OWNERS) or file.name == "checkpoint" for file in files):
        return {}
    paths = [PurePosixPath(file.name) for file in files]
    beside = _Companions(paths)
    return {path.name: owner for path in paths if (owner := beside.owner(path)) is not None}


class _Companions:
    """Files that belong to another one: shards to their index, weights to their description."""

    def __init__(self, paths: list[PurePosixPath]) -> None:
        names = {str(path) for path in paths}
        self._stems = {name[: -len(".index")] for name in names if name.endswith(".index")}
        self._indexed = {
            name.removesuffix(".safetensors.index.json")
            for name in names
            if name.endswith(".safetensors.index.json")
        }
        self._mapped = {
            name.removesuffix(".weights.json") for name in names if name.endswith(".weights.json")
        }
        self._described = {path.parent: str(path) for path in paths if path.name in _DESCRIPTIONS}

    def has(self, path: PurePosixPath) -> bool:
        """Return whether a file belongs to another one."""
        return self.owner(path) is not None

    def owner(self, path: PurePosixPath) -> str | None:
        """Return the file that a file belongs to; empty where it belongs to several or to none that can be
        named.
        """
        shard_of, separator, _ = str(path).rpartition(".data-")
        if separator and shard_of in self._stems:
            return f"{shard_of}.index"
        if path.name == "checkpoint":
            return ""
        if path.suffix in (".bin", "") and path.parent in self._described:
            return self._described[path.parent]
        match = _SHARD.fullmatch(str(path))
        if match is not None and match["stem"] in self._indexed:
            return f"{match['stem']}.safetensors.index.json"
        if match is not None and match["keras"] in self._mapped:
            return f"{match['keras']}.weights.json"
        return None


def _is_named(path: PurePosixPath) -> bool:
    return path.name in _DESCRIPTIONS or path.name.lower().endswith(_SUFFIXES)


def may_be_model(head: bytes) -> bool:
    """Return whether the first bytes of a file may be those of a model; `is_model` looks closer."""
    if any(head.startswith(magic, offset) for offset, magic in _MAGIC):
        return True
    return len(head) > LENGTH and header_size(head[: LENGTH + 1]) is not None


def is_model(files: FileSet, limits: Limits | None = None) -> bool:
    """Return whether a file is a model of a format that is read; an archive, whether it holds one.

    A damaged model is one.
    """
    parsing = Parsing(files, limits)
    try:
        format = detect(parsing)
        if isinstance(format, ArchiveFormat):
            format.parse(parsing)
    except UnknownFormatError:
        return False
    except FormatError:
        return True
    except (ModelInspectError, OSError):
        return False
    return True
