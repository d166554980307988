"""List the models of a location: of a folder or an archive there may be several, and each is its own
artifact.
"""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import basename, dirname
from typing import TYPE_CHECKING

from modelinspect.core.artifact import FormatName
from modelinspect.core.collector import paused_collector
from modelinspect.core.limits import Limits
from modelinspect.core.records import dataclass
from modelinspect.formats.base import Parsing
from modelinspect.formats.registry import begins_as_model, detect
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet, ModelIn, NamedFiles

if TYPE_CHECKING:
    from modelinspect.formats.candidates import Candidate, Candidates


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """A model of a location: its name there, its format, its stored size, and the location that opens only
    it.
    """

    name: str
    format: FormatName
    size: int
    place: ModelIn


@dataclass(frozen=True, slots=True)
class ModelList:
    """The models of a location; ``untried`` folders and files were too many to look at, ``archives`` beside
    them may hold more.

    ``only`` is the one model of a folder that is not a model itself, where there is one.
    """

    models: tuple[ModelPlace, ...]
    untried: int = 0
    archives: tuple[ModelPlace, ...] = ()
    only: ModelPlace | None = None


def list_models(files: FileSet, limits: Limits | None = None) -> ModelList:
    """Return the models of a location, none of which is read: empty where it is one model by itself, or none
    that is known.

    A bundle of TFLite models that are used one after another (``.task``) is one model. Raises
    `ModelInspectError`.
    """
    with paused_collector():
        parsing = Parsing(files, limits)
        found = None if begins_as_model(parsing) else _find(files, parsing, limits)
    if found is None:
        return ModelList(())
    archives = tuple(_place(files, one) for one in found.archives)
    if len(found.models) < 2 or (
        all(candidate.is_tflite for candidate in found.models) and files.primary is not None
    ):
        only = (
            _place(files, found.models[0])
            if files.primary is None and len(found.models) == 1 and found.models[0].name
            else None
        )
        return ModelList((), found.untried, archives, only)
    return ModelList(tuple(_place(files, one) for one in found.models), found.untried, archives)


def _find(files: FileSet, parsing: Parsing, limits: Limits | None) -> Candidates | None:
    """Return the models of a folder or an archive, None for a file that is not an archive."""
    from modelinspect.formats.archives.format import FORMAT, archived_models
    from modelinspect.formats.candidates import find_models

    if files.primary is None:
        return find_models(_Folder(files, limits))
    return archived_models(parsing) if FORMAT.detect(parsing) and detect(parsing) is FORMAT else None


def _place(files: FileSet, found: Candidate) -> ModelPlace:
    name = found.name or "."
    return ModelPlace(
        name, found.format.name, found.size, ModelIn(files.location, name, files.primary is not None)
    )


class _Folder:
    """The files of a folder."""

    def __init__(self, files: FileSet, limits: Limits | None) -> None:
        self._files = files
        self._limits = limits
        self.sizes: Mapping[str, int] = {name: files.open(name).size for name in files.names()}
        self._folders: dict[str, dict[str, str]] = {}
        for name in self.sizes:
            self._folders.setdefault(dirname(name), {})[basename(name)] = name

    def folder(self, folder: str) -> Parsing:
        """Return the parsing of the files below a folder."""
        if not folder:
            return Parsing(self._files, self._limits)
        prefix = f"{folder}/"
        below = {name.removeprefix(prefix): name for name in self.sizes if name.startswith(prefix)}
        return Parsing(_Part(self._files, below, None), self._limits)

    def file(self, name: str) -> Parsing:
        """Return the parsing of one file, whose neighbours are those of its folder."""
        return Parsing(_Part(self._files, self._folders[dirname(name)], basename(name)), self._limits)


class _Part(NamedFiles):
    """Some files of a folder under other names."""

    _files: Mapping[str, str]

    def __init__(self, whole: FileSet, files: Mapping[str, str], primary: str | None) -> None:
        super().__init__()
        self.limits = whole.limits
        self._whole = whole
        self._files = files
        self.location = whole.location
        self.primary = primary

    def _open_source(self, name: str) -> Source:
        self._require(name)
        return self._whole.open(self._files[name])
