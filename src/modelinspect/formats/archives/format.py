"""Opens the artifact that a ``.gz``, ``.zip``, ``.tar`` or ``.tar.gz`` wraps; its format is the inner one's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from posixpath import basename, dirname
from typing import cast

from modelinspect.core.artifact import FormatName, Severity
from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.facts import Fact, Facts
from modelinspect.core.span import Span
from modelinspect.encodings import gzip, tar, zip
from modelinspect.errors import FormatError, LimitError, UnknownFormatError
from modelinspect.formats.archives.nested import NestedParsing, Packed, archive_depth, claim_rest, packed_tar, packed_zip
from modelinspect.formats.base import Format, Parsing, Site
from modelinspect.sources.base import Source
from modelinspect.sources.decompressed import Codec, DecompressedSource

_JUNK = ("__MACOSX/", ".DS_Store", "Thumbs.db")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEAD = 8
_TRIED_FOLDERS = 64
_FOLDER_DEPTH = 16
_TRIED_FILES = 256
_NAMED_FILES = 5
_SUFFIXES = {".tgz": ".tar", ".gz": "", ".gzip": ""}


class ArchiveFormat:
    """Any artifact in a wrapping of gzip, zip or tar, up to the limit of archives in archives."""

    name = FormatName.HDF5
    """Never the artifact's: `parse` returns what the archive holds."""

    def detect(self, parsing: Parsing) -> bool:
        """Tell whether the primary file is an archive, by its first or last bytes."""
        return parsing.primary is not None and _kind(parsing.files.open(parsing.primary)) is not None

    def parse(self, parsing: Parsing) -> FormatName:
        """Open the archive, and parse what it holds. Raises `UnknownFormatError` where that is no model."""
        name = parsing.primary or ""
        site = parsing.open(name)
        parsing.limits.allow("opening archives in archives", archive_depth(parsing) + 1, parsing.limits.archive_nesting, site.source.name)
        kind = _kind(site.source)
        before = parsing.facts.get("wrapped_in")
        parsing.facts["wrapped_in"] = (*(before if isinstance(before, tuple) else ()), kind)
        match kind:
            case "gzip":
                return _parse_gzip(parsing, site, name)
            case "tar":
                return _parse_tar(parsing, site)
            case _:
                return _parse_zip(parsing, site)


FORMAT = ArchiveFormat()


def _kind(source: Source) -> str | None:
    head = source.read_at(0, min(_HEAD, source.size))
    if head.startswith(gzip.MAGIC):
        return "gzip"
    if head.startswith(_HDF5):  # whatever was appended to it
        return None
    if head.startswith(zip.LOCAL_HEADER):
        return "zip"
    if tar.is_tar(source):  # though a zip archive may be the last of its files
        return "tar"
    return "zip" if _ends_as_zip(source) else None


def _ends_as_zip(source: Source) -> bool:
    """Tell whether a directory of members stands before an end record: four bytes alone may be anything."""
    offset = zip.find_end_record(source)
    if offset is None:
        return False
    size = int.from_bytes(source.read_at(offset + 12, 4), "little")
    return 0 < size <= offset and source.read_at(offset - size, 4) == b"PK\x01\x02"


def _parse_gzip(parsing: Parsing, site: Site, name: str) -> FormatName:
    stem = next((name.removesuffix(suffix) + by for suffix, by in _SUFFIXES.items() if name.endswith(suffix)), "")
    inner = stem or basename(gzip.original_name(site.source)) or name
    packed = Packed(site, inner, Span(0, site.source.size), Codec.GZIP, site.claims.path(inner))
    nested = NestedParsing(parsing, {inner: packed}, inner)
    format = _detect(nested)
    if format is None:
        source = packed.source()
        failure = source.failure if isinstance(source, DecompressedSource) else None
        what = f"gzip of {inner}, {source.size:,} bytes of no known model format"
        raise UnknownFormatError(f"{_label(parsing, name)}: {what}" + (f"; {failure.problem}" if failure else ""))
    return format.parse(nested)


def _parse_zip(parsing: Parsing, site: Site) -> FormatName:
    directory = zip.walk_zip(site.walk)
    path = site.claims.path("outside the archive")
    if directory.complete:
        site.claims.fill(0, directory.begin, RegionKind.FREE, path)
        site.claims.fill(directory.end, site.source.size - directory.end, RegionKind.FREE, path)
    files = packed_zip(site, directory)
    format = _parse_files(parsing, site, files, "zip")
    claim_rest(site, directory, files)
    return format


def _parse_tar(parsing: Parsing, site: Site) -> FormatName:
    directory = tar.walk_tar(site.walk)
    files = packed_tar(site, directory)
    format = _parse_files(parsing, site, files, "tar")
    claim_rest(site, directory, files)
    return format


def _parse_files(parsing: Parsing, site: Site, files: Mapping[str, Packed], kind: str) -> FormatName:
    """Parse the model among the files: a folder of them, or one; where there are several, the largest, and all of TFLite."""
    found = _find(parsing, files)
    if not found:
        names = sorted(files)
        listed = ", ".join(names[:_NAMED_FILES]) + (", …" if len(names) > _NAMED_FILES else "")
        what = f"a {kind} archive of {len(files):,} files that holds no known model"
        raise UnknownFormatError(f"{_label(parsing, parsing.primary)}: {what}: {listed}")
    chosen = max(found, key=lambda candidate: (candidate.size, candidate.name))
    beside = [candidate for candidate in found if candidate is not chosen and candidate.is_tflite and chosen.is_tflite]
    others = tuple(sorted(candidate.name for candidate in found if candidate is not chosen and candidate not in beside))
    if others:
        parsing.facts["also_holds"] = others
        problem = f"{chosen.name} is inspected; the archive holds other models too: {', '.join(others[:_NAMED_FILES])}"
        site.diagnose(problem, None, Severity.NOTE)
    if chosen.name:
        parsing.facts["wrapped_name"] = chosen.name
    form = chosen.format.parse(chosen.parsing)
    if beside:
        parsing.facts["other_models"] = {
            one.name: cast("Fact", _parse_beside(site, one)) for one in sorted(beside, key=lambda one: one.name)
        }
    return form


def _parse_beside(site: Site, candidate: _Candidate) -> Facts:
    """Parse one more model of a bundle and return its facts; the names of its tensors begin with its own."""
    nested = candidate.parsing
    nested.facts = {}
    first = nested.tensor_count
    try:
        candidate.format.parse(nested)
    except FormatError as error:
        site.survive(error)
    for tensor in map(TensorId, range(first, nested.tensor_count)):
        known = nested.tensor(tensor)
        layer = None if known.layer is None else f"{candidate.name}:{known.layer}"
        aliases = tuple(f"{candidate.name}:{alias}" for alias in known.aliases)
        nested.replace_tensor(tensor, replace(known, name=f"{candidate.name}:{known.name}", layer=layer, aliases=aliases))
    return nested.facts


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A model that the archive may be about."""

    name: str
    format: Format
    parsing: NestedParsing
    size: int

    @property
    def is_tflite(self) -> bool:
        """Tell whether it is a model of the kind that a bundle (``.task``) has several of, used one after another."""
        return self.format.name is FormatName.TFLITE


def _find(parsing: Parsing, files: Mapping[str, Packed]) -> list[_Candidate]:
    """Return the models: folders that are one, none within another; where there are none, the files that are one."""
    useful = {name: packed for name, packed in files.items() if not _is_junk(name)}
    return _folders(parsing, useful) or _files(parsing, useful)


def _folders(parsing: Parsing, files: Mapping[str, Packed]) -> list[_Candidate]:
    from modelinspect.formats.registry import formats

    order = formats()
    top = _common_folder(files)
    folders = {parent for name in files for parent in _parents(name)}
    folders = {folder for folder in folders if _within(folder, top)}  # those above hold nothing else
    ranked: list[tuple[int, int, _Candidate]] = []
    by_depth = sorted(folders, key=lambda folder: (folder.count("/") + bool(folder), folder))
    for depth, folder in enumerate(by_depth[:_TRIED_FOLDERS]):
        inner = _below(files, folder)
        nested = NestedParsing(parsing, inner, None)
        format = _detect(nested)
        if format is not None:
            candidate = _Candidate(folder, format, nested, sum(_stored(packed) for packed in inner.values()))
            ranked.append((order.index(format), depth, candidate))
    chosen: list[_Candidate] = []
    for _, _, candidate in sorted(ranked, key=lambda item: item[:2]):
        if not any(_within(candidate.name, other.name) or _within(other.name, candidate.name) for other in chosen):
            chosen.append(candidate)
    return chosen


def _files(parsing: Parsing, files: Mapping[str, Packed]) -> list[_Candidate]:
    found: list[_Candidate] = []
    folders: dict[str, dict[str, Packed]] = {}
    for name in sorted(files):  # sorted once, and not again for each file that is tried
        folders.setdefault(dirname(name), {})[basename(name)] = files[name]
    for name in sorted(files, key=lambda name: (-_stored(files[name]), name))[:_TRIED_FILES]:
        beside = folders[dirname(name)]
        nested = NestedParsing(parsing, beside, basename(name))
        format = _detect(nested)
        if format is not None:
            found.append(_Candidate(name, format, nested, _stored(files[name])))
    return [candidate for candidate in found if candidate.format is not FORMAT] or found


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


def _below(files: Mapping[str, Packed], folder: str) -> dict[str, Packed]:
    prefix = f"{folder}/" if folder else ""
    return {name.removeprefix(prefix): packed for name, packed in files.items() if name.startswith(prefix)}


def _detect(nested: NestedParsing) -> Format | None:
    """Return the format of the nested files; None where there is none, or where they cannot be read."""
    from modelinspect.formats.registry import detect

    try:
        return detect(nested)
    except LimitError:
        raise
    except (UnknownFormatError, FormatError):
        return None


def _stored(packed: Packed) -> int:
    return 0 if packed.run is None else packed.run.size


def _is_junk(name: str) -> bool:
    return name.startswith(_JUNK) or basename(name) in _JUNK or basename(name).startswith("._")


def _label(parsing: Parsing, name: str | None) -> str:
    return parsing.files.location if archive_depth(parsing) == 0 else f"{parsing.files.location}: {name}"
