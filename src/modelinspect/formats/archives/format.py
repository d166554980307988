"""Open the artifact that a ``.gz``, ``.zip``, ``.tar`` or ``.tar.gz`` wraps; its format is the inner
one's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from posixpath import basename, dirname
from typing import cast

from modelinspect.core import signatures
from modelinspect.core.artifact import FormatName, Severity
from modelinspect.core.bytemap import TensorId
from modelinspect.core.facts import Fact, Facts, add_facts
from modelinspect.core.span import Span
from modelinspect.encodings import gzip, tar, zip
from modelinspect.errors import Code, FormatError, SelectionError, UnknownFormatError
from modelinspect.formats.archives.nested import (
    NestedParsing,
    Packed,
    archive_depth,
    claim_rest,
    fill_outside,
    packed_tar,
    packed_zip,
)
from modelinspect.formats.base import About, Parsing, Site
from modelinspect.formats.candidates import Candidate, Candidates, detected, find_models
from modelinspect.formats.lookalikes import describe_members
from modelinspect.formats.tflite.facts import join_models
from modelinspect.sources.base import Source
from modelinspect.sources.decoders import Codec
from modelinspect.sources.decompressed import DecompressedSource

_HEAD = 8
_NAMED_FILES = 5
_SUFFIXES = {".tgz": ".tar", ".gz": "", ".gzip": ""}


class ArchiveFormat:
    """Any artifact in a wrapping of gzip, zip or tar, up to the limit of archives in archives."""

    name = FormatName.HDF5
    """Never the artifact's: `parse` returns what the archive holds."""
    about = About(
        title="Archives of any of these",
        names=(),
        files=("`*.gz`", "`*.zip`", "`*.tar`", "`*.tar.gz`", "`*.task`"),
        page="archives.md",
        limitations=(
            "Of several models that are not TFLite, the largest is read; `--model` chooses another.",
            (
                "Files that bzip2, xz, Zstandard or 7-Zip compress as a whole are recognized and not read;"
                " zip members with bzip2 or LZMA are."
            ),
            "Sparse files in tar archives, encrypted members and zip archives in several parts are not read.",
        ),
    )

    def detect(self, parsing: Parsing) -> bool:
        """Return whether the primary file is an archive, by its first or last bytes."""
        return parsing.primary is not None and _kind(parsing.files.open(parsing.primary)) is not None

    def parse(self, parsing: Parsing) -> FormatName:
        """Open the archive, and parse what it holds.

        Raises `UnknownFormatError` where that is not a model.
        """
        name = parsing.primary or ""
        site = parsing.open(name)
        parsing.limits.allow(
            "opening archives in archives",
            archive_depth(parsing) + 1,
            parsing.limits.archive_nesting,
            site.source.name,
        )
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
    if head.startswith(signatures.GZIP_DEFLATE):
        return "gzip"
    if head.startswith(signatures.HDF5):  # whatever was appended to it
        return None
    if head.startswith(signatures.ZIP):
        return "zip"
    if tar.is_tar(source):  # though a zip archive may be the last of its files
        return "tar"
    return "zip" if _ends_as_zip(source) else None


def _ends_as_zip(source: Source) -> bool:
    """Return whether a directory of members is before an end record: four bytes by themselves may be
    anything.
    """
    offset = zip.find_end_record(source)
    if offset is None:
        return False
    size = int.from_bytes(source.read_at(offset + 12, 4), "little")
    return 0 < size <= offset and source.read_at(offset - size, 4) == signatures.ZIP_ENTRY


def _parse_gzip(parsing: Parsing, site: Site, name: str) -> FormatName:
    inner = _unzipped(site, name)
    packed = _packed_gzip(site, inner)
    nested = NestedParsing(parsing, {inner: packed}, inner)
    format = detected(nested)
    if format is None:
        source = packed.source()
        failure = source.failure if isinstance(source, DecompressedSource) else None
        what = f"gzip of {inner}, {source.size:,} bytes of no known model format"
        raise UnknownFormatError(
            f"{_label(parsing, name)}: {what}" + (f"; {failure.problem}" if failure else "")
        )
    return format.parse(nested)


def _unzipped(site: Site, name: str) -> str:
    """Return the name of what a gzip file holds."""
    stem = next(
        (name.removesuffix(suffix) + by for suffix, by in _SUFFIXES.items() if name.endswith(suffix)), ""
    )
    return stem or basename(gzip.original_name(site.source)) or name


def _packed_gzip(site: Site, inner: str) -> Packed:
    return Packed(site, inner, Span(0, site.source.size), Codec.GZIP, site.claims.path(inner))


def _parse_zip(parsing: Parsing, site: Site) -> FormatName:
    directory = zip.walk_zip(site.walk)
    fill_outside(site, directory, "outside the archive", "outside the archive")
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
    """Parse the model among the files: a folder of them, or one; of several the chosen one, else the largest,
    and all of TFLite.

    Raises `SelectionError` where none has the name that was chosen.
    """
    found = find_models(_Shelf(parsing, files)).models
    if not found:
        names = sorted(files)
        listed = ", ".join(names[:_NAMED_FILES]) + (", …" if len(names) > _NAMED_FILES else "")
        known = describe_members(files)
        if known is not None:
            raise UnknownFormatError(f"{_label(parsing, parsing.primary)}: looks like {known}")
        what = f"a {kind} archive of {len(files):,} files that holds no known model"
        raise UnknownFormatError(f"{_label(parsing, parsing.primary)}: {what}: {listed}")
    wanted = parsing.files.chosen
    if wanted is not None and all(candidate.name != wanted for candidate in found):
        raise SelectionError(f"{parsing.files.location}: holds no model {wanted!r}")
    chosen = max(found, key=lambda candidate: (candidate.name == wanted, candidate.size, candidate.name))
    chosen.parsing.files.chosen = None  # what is chosen may be an archive, too
    beside = [
        candidate
        for candidate in found
        if candidate is not chosen and candidate.is_tflite and chosen.is_tflite
    ]
    others = tuple(
        sorted(candidate.name for candidate in found if candidate is not chosen and candidate not in beside)
    )
    if others:
        parsing.facts["also_holds"] = others
    if others and wanted is None:
        problem = (
            f"{chosen.name} is inspected; the archive holds other models too:"
            f" {', '.join(others[:_NAMED_FILES])}"
        )
        site.diagnose(problem, None, Severity.NOTE, Code.INCOMPLETE)
    if chosen.name:
        parsing.facts["wrapped_name"] = chosen.name
    form = chosen.format.parse(chosen.parsing)
    if beside:
        others_facts = {
            one.name: _parse_beside(site, one) for one in sorted(beside, key=lambda one: one.name)
        }
        parsing.facts["other_models"] = cast("dict[str, Fact]", others_facts)
        every = cast("dict[str, dict[str, Fact]]", {"": dict(parsing.facts), **others_facts})
        add_facts(parsing.facts, join_models(every))
    return form


def _parse_beside(site: Site, candidate: Candidate) -> Facts:
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
        nested.replace_tensor(
            tensor,
            replace(
                known,
                name=f"{candidate.name}:{known.name}",
                path=f"{candidate.name}:{known.path}",
                layer=layer,
                aliases=aliases,
            ),
        )
    return nested.facts


class _Shelf:
    """The files of an archive."""

    def __init__(self, parsing: Parsing, files: Mapping[str, Packed]) -> None:
        self._parsing = parsing
        self._files = files
        self.sizes: Mapping[str, int] = {
            name: 0 if packed.run is None else packed.run.size for name, packed in files.items()
        }
        self._folders: dict[str, dict[str, Packed]] = {}
        for name in sorted(files):  # sorted once, and not again for each file that is tried
            self._folders.setdefault(dirname(name), {})[basename(name)] = files[name]

    def folder(self, folder: str) -> NestedParsing:
        """Return the parsing of the files below a folder."""
        prefix = f"{folder}/" if folder else ""
        below = {
            name.removeprefix(prefix): packed
            for name, packed in self._files.items()
            if name.startswith(prefix)
        }
        return NestedParsing(self._parsing, below, None)

    def file(self, name: str) -> NestedParsing:
        """Return the parsing of one file, whose neighbours are those of its folder."""
        return NestedParsing(self._parsing, self._folders[dirname(name)], basename(name))


def archived_models(parsing: Parsing) -> Candidates | None:
    """Return the models of the archive that the primary file is, None where it is not an archive of files."""
    name = parsing.primary or ""
    kind = _kind(parsing.files.open(name)) if name else None
    if kind is None or archive_depth(parsing) >= parsing.limits.archive_nesting:
        return None
    site = parsing.open(name)
    if kind == "gzip":
        inner = _unzipped(site, name)
        return archived_models(NestedParsing(parsing, {inner: _packed_gzip(site, inner)}, inner))
    files = (
        packed_zip(site, zip.walk_zip(site.walk))
        if kind == "zip"
        else packed_tar(site, tar.walk_tar(site.walk))
    )
    return find_models(_Shelf(parsing, files))


def _label(parsing: Parsing, name: str | None) -> str:
    return parsing.files.location if archive_depth(parsing) == 0 else f"{parsing.files.location}: {name}"
