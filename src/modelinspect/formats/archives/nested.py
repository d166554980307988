"""Let a format parse the files of an archive as if they lay in a folder."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.core.artifact import Artifact, Diagnostic, FormatName
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, replace
from modelinspect.core.span import Span
from modelinspect.encodings.tar import TarDirectory, TarMember
from modelinspect.encodings.zip import Method, ZipDirectory, ZipMember
from modelinspect.errors import Code, FormatError, InvariantError, LocationError
from modelinspect.formats.archives.compressed import open_compressed
from modelinspect.formats.base import Parsing, Site
from modelinspect.sources.base import Source, WindowSource
from modelinspect.sources.decoders import Codec
from modelinspect.sources.decompressed import DecompressedSource
from modelinspect.sources.files import NamedFiles


@dataclass(slots=True)
class Packed:
    """A file within another: ``run`` are its stored bytes, ``codec`` how they are compressed (None: not at
    all).

    ``problem`` says why it cannot be opened; empty where it can.
    """

    outer: Site
    name: str
    run: Span | None
    codec: Codec | None
    path: PathId
    size: int | None = None
    crc: int | None = None
    problem: str = ""
    code: Code = Code.UNSUPPORTED
    _source: Source | None = None
    _site: Site | None = None

    @property
    def is_open(self) -> bool:
        """Return whether a parser works on its bytes."""
        return self._site is not None

    def source(self) -> Source:
        """Return the file's bytes. Raises `FormatError` where they cannot be read."""
        if self._source is None:
            run = self._run()
            if self.codec is None:
                self._source = WindowSource(self.outer.source, run.offset, run.size)
            else:
                name, limits = f"{self.outer.source.name}: {self.name}", self.outer.limits
                args = (self.outer.source, run.offset, run.size, self.codec, self.size)
                self._source = DecompressedSource(*args, crc=self.crc, limits=limits, name=name)
        return self._source

    def site(self) -> Site:
        """Return the file's site, the same each time; its regions lie below the file's path.

        Raises as `source` does.
        """
        if self._site is None:
            run, source = self._run(), self.source()
            if self.codec is not None and isinstance(source, DecompressedSource):
                self._site = open_compressed(self.outer, run, source, self.codec, self.path)
            else:
                self._site = self.outer.window(run.offset, run.size, self.path)
        return self._site

    def read(self) -> bytes:
        """Return the file whole. Raises `FormatError`, also where it is longer than a structure may be."""
        source = self.source()
        self.outer.limits.allow(self.name, source.size, self.outer.limits.structure_size, source.name)
        data = source.read_at(0, source.size)
        if isinstance(source, DecompressedSource):
            source.decode_all()
            if source.failure is not None:
                raise source.failure
        return data

    def claim(self, kind: RegionKind) -> None:
        """Label the stored bytes whole, without opening them."""
        if self.run is not None and not self.is_open:
            self.outer.claims.claim(self.run.offset, self.run.size, kind, self.path)

    def _run(self) -> Span:
        if self.problem or self.run is None:
            place = None if self.run is None else self.run.offset
            raise FormatError(f"member {self.name} {self.problem}", self.outer.source.name, place, self.code)
        return self.run


def packed_zip(site: Site, directory: ZipDirectory) -> dict[str, Packed]:
    """Return the files of a zip archive by name; the last of those that share one."""
    return {member.name: _from_zip(site, member) for member in directory.members if not member.is_folder}


def codec_of(member: ZipMember) -> Codec | None:
    """Return how a member is compressed, None where it is stored as it is."""
    return _CODECS.get(member.method)


_CODECS: Mapping[int, Codec] = {
    Method.DEFLATED: Codec.DEFLATE,
    Method.BZIP2: Codec.BZIP2,
    Method.LZMA: Codec.LZMA,
}


def _from_zip(site: Site, member: ZipMember) -> Packed:
    codec = codec_of(member)
    return Packed(
        site,
        member.name,
        member.data,
        codec,
        site.claims.path(member.name),
        member.size,
        member.crc,
        member.problem,
        member.code,
    )


def packed_tar(site: Site, directory: TarDirectory) -> dict[str, Packed]:
    """Return the files of a tar archive by name; the last of those that share one."""
    return {member.name: _from_tar(site, member) for member in directory.members}


def _from_tar(site: Site, member: TarMember) -> Packed:
    return Packed(
        site,
        member.name,
        member.data,
        None,
        site.claims.path(member.name),
        member.data.size,
        problem=member.problem,
    )


def fill_outside(site: Site, directory: ZipDirectory, before: str, after: str) -> None:
    """Label what is before and after a zip whose records could all be read: no reader uses it."""
    if directory.complete:
        site.claims.fill(0, directory.begin, RegionKind.FREE, site.claims.path(before))
        rest = site.source.size - directory.end
        site.claims.fill(directory.end, rest, RegionKind.FREE, site.claims.path(after))


def claim_rest(site: Site, directory: ZipDirectory | TarDirectory, files: Mapping[str, Packed]) -> None:
    """Label the members that no parser opened: their own files are assets, what cannot be read is
    nobody's.
    """
    for name, packed in files.items():
        if packed.problem:
            place = None if packed.run is None else packed.run.offset
            site.diagnose(f"member {name} {packed.problem}", place, code=packed.code)
        packed.claim(RegionKind.UNATTRIBUTED if packed.problem else RegionKind.ASSET)
    for member in directory.members:
        packed_now = files.get(member.name)
        if member.data is not None and packed_now is not None and packed_now.run != member.data:
            path = site.claims.path(member.name, "replaced by a later member of this name")
            site.claims.claim(member.data.offset, member.data.size, RegionKind.FREE, path)


class NestedParsing(Parsing):
    """Files within a member as their own parsing; what it finds goes to the parsing of the whole artifact.

    ``files`` are the archive's by the name that they have here; ``primary`` one of them, whose neighbours the
    others are.
    """

    def __init__(self, outer: Parsing, files: Mapping[str, Packed], primary: str | None) -> None:
        super().__init__(
            _NestedFiles(outer.files.location, files, primary), outer.limits, strict=outer.strict
        )
        self.limits = outer.limits
        self.files.chosen = outer.files.chosen
        self._outer = outer
        self._packed = files
        self.facts = outer.facts
        self._tensors = outer._tensors
        self._diagnostics = outer._diagnostics
        self._finishers = outer._finishers
        self._documents = outer._documents
        self._decoded = outer._decoded
        self.depth: int = archive_depth(outer) + 1

    def open(self, name: str) -> Site:
        site = self._sites.get(name)
        if site is None:
            if name not in self._packed:
                raise LocationError(f"{self.files.location}: holds no file {name}")
            site = self._sites[name] = replace(self._packed[name].site(), parsing=self)
        return site

    def diagnose(self, diagnostic: Diagnostic) -> None:
        self._outer.diagnose(diagnostic)

    def finish(self, name: FormatName) -> Artifact:
        raise InvariantError("only the parsing of the whole artifact makes an artifact")


def archive_depth(parsing: Parsing) -> int:
    """Return in how many archives the files of a parsing are."""
    return parsing.depth if isinstance(parsing, NestedParsing) else 0


class _NestedFiles(NamedFiles):
    """Files within a member."""

    _files: Mapping[str, Packed]

    def __init__(self, location: str, files: Mapping[str, Packed], primary: str | None) -> None:
        super().__init__()
        self._files = files
        self.location = location
        self.primary = primary

    def _open_source(self, name: str) -> Source:
        self._require(name)
        return self._files[name].source()
