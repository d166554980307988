"""Find the models among the files of a folder or an archive."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from posixpath import basename, dirname
from typing import Protocol

from modelinspect.core.artifact import FormatName
from modelinspect.core.records import dataclass
from modelinspect.errors import FormatError, LimitError, UnknownFormatError
from modelinspect.formats.base import Format, Parsing

_JUNK = ("__MACOSX/", ".DS_Store", "Thumbs.db")
_TRIED_FOLDERS = 64
_FOLDER_DEPTH = 16
_TRIED_FILES = 256
_SINGLE_FILES = (
    ".h5",
    ".hdf5",
    ".keras",
    ".tflite",
    ".lite",
    ".task",
    ".litertlm",
    ".zip",
    ".tar",
    ".gz",
    ".tgz",
)
"""What a file is called that is a model by itself, also where it lies in the folder of another one."""
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz")
_LOOSELY_HELD = frozenset(
    {
        FormatName.SAVED_MODEL,
        FormatName.KERAS_ZIP,
        FormatName.WEIGHTS_HDF5,
        FormatName.CHECKPOINT,
        FormatName.TFJS,
    }
)
"""Formats of folders that call any other file an asset, so one may be its own model."""
_PART = re.compile(r"(?:.*/)?(?:model|task|\w+_\d{5})\.weights\.h5|variables/.*|assets/.*")
"""Files with such an ending that are part of a folder's model: weights of a Keras folder or of shards,
variables, assets.
"""


class Shelf(Protocol):
    """Files by name, with their stored sizes, and a parsing of any part of them."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """The files and their stored sizes."""

    def folder(self, folder: str) -> Parsing:
        """Return the parsing of the files below a folder."""

    def file(self, name: str) -> Parsing:
        """Return the parsing of one file, whose neighbours are those of its folder."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model among the files: its name (a folder's or a file's, "" for all files), its format and its stored
    size.
    """

    name: str
    format: Format
    parsing: Parsing
    size: int

    @property
    def is_tflite(self) -> bool:
        """Whether it is a model of the kind that a bundle (``.task``) has several of, used one after
        another.
        """
        return self.format.name is FormatName.TFLITE


@dataclass(frozen=True, slots=True)
class Candidates:
    """The models that were found; ``untried`` counts the folders and files that were too many to look at.

    ``archives`` are archives beside the models, which may hold more.
    """

    models: tuple[Candidate, ...]
    untried: int = 0
    archives: tuple[Candidate, ...] = ()


def find_models(shelf: Shelf) -> Candidates:
    """Return the models: folders that are one, none within another, and files that are one and part of none
    of these.
    """
    names = [name for name in shelf.sizes if not is_junk(name)]
    folders, left_out = _folders(shelf, names)
    folders = [split for candidate in folders for split in _split(shelf, names, candidate)]
    holders = [(_prefix(_holder(candidate)), candidate) for candidate in folders]
    loose = [name for name in names if _is_loose(name, holders)]
    files, more_left_out = _files(shelf, loose)
    archives = [candidate for candidate in files if candidate.name.lower().endswith(_ARCHIVES)]
    others = [*folders, *(candidate for candidate in files if candidate not in archives)]
    return Candidates(
        tuple(sorted(others or archives, key=lambda one: one.name)),
        left_out + more_left_out,
        tuple(archives if others else ()),
    )


def is_junk(name: str) -> bool:
    """Return whether a file is what an operating system leaves after."""
    return name.startswith(_JUNK) or basename(name) in _JUNK or basename(name).startswith("._")


def _folders(shelf: Shelf, names: list[str]) -> tuple[list[Candidate], int]:
    from modelinspect.formats.registry import formats

    order = formats()
    top = _common_folder(names)
    found = {parent for name in names for parent in _parents(name)}
    found = {folder for folder in found if _within(folder, top)}  # those above hold nothing else
    ranked: list[tuple[int, int, Candidate]] = []
    by_depth = sorted(found, key=lambda folder: (folder.count("/") + bool(folder), folder))
    for depth, folder in enumerate(by_depth[:_TRIED_FOLDERS]):
        parsing = shelf.folder(folder)
        format = detected(parsing)
        if format is not None:
            prefix = _prefix(folder)
            size = sum(size for name, size in shelf.sizes.items() if name.startswith(prefix))
            ranked.append((order.index(format), depth, Candidate(folder, format, parsing, size)))
    chosen: list[Candidate] = []
    for _, _, candidate in sorted(ranked, key=lambda item: item[:2]):
        if not any(
            _within(candidate.name, other.name) or _within(other.name, candidate.name) for other in chosen
        ):
            chosen.append(candidate)
    return chosen, max(len(by_depth) - _TRIED_FOLDERS, 0)


def _split(shelf: Shelf, names: list[str], candidate: Candidate) -> list[Candidate]:
    """Return the models of a folder with several descriptions of TensorFlow.js models, each with the weights
    that it names.
    """
    if candidate.format.name is not FormatName.TFJS:
        return [candidate]
    prefix = f"{candidate.name}/" if candidate.name else ""
    direct = [
        name
        for name in names
        if name.startswith(prefix) and "/" not in name[len(prefix) :] and name.endswith(".json")
    ]
    found: list[Candidate] = []
    for name in sorted(direct)[:_TRIED_FILES]:
        parsing = shelf.file(name)
        format = detected(parsing)
        if format is not None and format.name is FormatName.TFJS:
            found.append(Candidate(name, format, parsing, shelf.sizes[name]))
    return found if len(found) > 1 else [candidate]


def _holder(candidate: Candidate) -> str:
    """Return the folder that a candidate is, or, for one of several TensorFlow.js models, that it lies in."""
    return candidate.name if candidate.parsing.primary is None else dirname(candidate.name)


def _prefix(folder: str) -> str:
    """Return what the names of all files in a folder begin with."""
    return folder if not folder or folder.endswith("/") else f"{folder}/"


def _is_loose(name: str, holders: Sequence[tuple[str, Candidate]]) -> bool:
    """Return whether a file may be a model by itself: it lies in no folder that is one, or is not a part of
    that one.

    ``holders`` has each candidate with what the names of its files begin with: ten thousand files times a
    hundred candidates are compared, so each costs one call.
    """
    for prefix, candidate in holders:
        if not name.startswith(prefix):
            continue
        # One of several TensorFlow.js models has its weights around it.
        if candidate.parsing.primary is not None:
            if dirname(name) == dirname(candidate.name):
                return name.lower().endswith(_SINGLE_FILES)
            continue
        if candidate.format.name not in _LOOSELY_HELD:
            return False
        inner = name[len(candidate.name) :].lstrip("/")
        weights = candidate.format.name in (
            FormatName.KERAS_ZIP,
            FormatName.WEIGHTS_HDF5,
        ) and inner.endswith(".weights.h5")
        return inner.lower().endswith(_SINGLE_FILES) and not _PART.fullmatch(inner) and not weights
    return True


def _files(shelf: Shelf, names: list[str]) -> tuple[list[Candidate], int]:
    ordered = sorted(names, key=lambda name: (-shelf.sizes[name], name))
    found: list[Candidate] = []
    for name in ordered[:_TRIED_FILES]:
        parsing = shelf.file(name)
        format = detected(parsing)
        if format is not None:
            found.append(Candidate(name, format, parsing, shelf.sizes[name]))
    shards = {dirname(one.name) for one in found if one.name.endswith(".weights.json")}
    kept = [one for one in found if not (dirname(one.name) in shards and _PART.fullmatch(one.name))]
    return kept, max(len(ordered) - _TRIED_FILES, 0)


def detected(parsing: Parsing) -> Format | None:
    """Return the format of files; None where there is none, or where they cannot be read."""
    from modelinspect.formats.registry import detect

    try:
        return detect(parsing)
    except LimitError:
        raise
    except (UnknownFormatError, FormatError):
        return None


def _parents(name: str) -> Iterator[str]:
    """Yield the folders that a file is in, the root as an empty name."""
    for _ in range(_FOLDER_DEPTH):
        name = dirname(name)
        yield name
        if not name or name == "/":
            return


def _common_folder(names: Iterable[str]) -> str:
    """Return the folder that all files are in."""
    common: list[str] | None = None
    for name in names:
        parts = name.split("/")[:-1][:_FOLDER_DEPTH]
        common = parts if common is None else common
        same = 0
        while same < min(len(common), len(parts)) and common[same] == parts[same]:
            same += 1
        common = common[:same]
    return "/".join(common or [])


def _within(folder: str, other: str) -> bool:
    return not other or folder == other or folder.startswith(f"{other}/")
