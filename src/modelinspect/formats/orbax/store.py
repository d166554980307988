"""Walk an OCDBT database: its manifest, the nodes of the trees of its generations, the values that they lead
to.
"""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import basename

from modelinspect.core.bytemap import NO_TENSOR, RegionKind, TensorId
from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import DecompressStep, Extent, Stream
from modelinspect.encodings.ocdbt import (
    Entry,
    Frame,
    FrameKind,
    Manifest,
    Node,
    Place,
    Version,
    VersionNode,
    read_frame,
    read_manifest,
    read_node,
    read_version_node,
)
from modelinspect.encodings.ocdbt.frames import CHECKSUM_SIZE, OcdbtCursor
from modelinspect.errors import Code, FormatError, TruncatedError
from modelinspect.formats.base import Parsing, Site
from modelinspect.sources.zstd import ZSTD

MANIFEST = "manifest.ocdbt"
_NUMBERED = len("manifest.") + 16
_DECODED_EACH, _DECODED_FIRST, _DECODED_MOST = 64, 8 << 20, 96 << 20
"""What the nodes of one tree may decode to: for each byte of a data file, besides, and at most."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a database, or a file of a plain folder: where its bytes are.

    They are at ``offset`` of ``site``, or, where ``node`` is set, at ``offset`` of that node's decoded body.
    ``file`` is the data file that a value lies in outside of any node; it is empty for every other value.
    """

    key: str
    site: Site
    offset: int
    size: int
    node: _NodeMap | None = None
    file: str = ""

    def read(self) -> bytes:
        """Return the bytes of a value, which the caller knows to be small."""
        if self.node is not None:
            return self.node.body[self.offset : self.offset + self.size]
        return self.site.source.read_at(self.offset, self.size)


@dataclass(slots=True)
class Reached:
    """The spans of data files that generations lead to, by the file's name in the location.

    The name of a source does not do: within an archive it names the archive too, and several files may share
    it.
    """

    spans: dict[str, set[tuple[int, int]]] = field(default_factory=dict)

    def add(self, file: str, offset: int, size: int) -> bool:
        """Add a span, and return whether it is new."""
        known = self.spans.setdefault(file, set())
        before = len(known)
        known.add((offset, size))
        return len(known) > before


class Store:
    """One database: the folder of a manifest.

    ``is_whole`` becomes False where a part of it cannot be read.
    """

    def __init__(self, parsing: Parsing, folder: str, names: frozenset[str]) -> None:
        self.parsing = parsing
        self.folder = folder
        self.names = names
        self.site = parsing.open(folder + MANIFEST)
        self.manifest: Manifest | None = None
        self.nodes: list[_NodeMap] = []
        self.live = Reached()
        self.older = Reached()
        self.is_whole = True
        self.missing: set[str] = set()
        self._decoded = 0
        self._entries = 0

    def open(self) -> None:
        """Read and claim the manifest, or the newest of the numbered ones."""
        self.manifest = self._manifest(self.site)
        if self.manifest is not None and self.manifest.is_numbered:
            prefix = self.folder + "manifest."
            found = sorted(
                one for one in self.names if one.startswith(prefix) and len(basename(one)) == _NUMBERED
            )
            manifests = [self._manifest(self.parsing.open(name)) for name in found]
            self.manifest = manifests[-1] if manifests else None
            self.is_whole = self.is_whole and self.manifest is not None

    def _manifest(self, site: Site) -> Manifest | None:
        try:
            frame = read_frame(site.source, 0, site.source.size, FrameKind.MANIFEST, site.limits)
            manifest = read_manifest(OcdbtCursor(frame.body, site.source.name, 0, "a manifest"))
        except FormatError as error:
            self._fail(site, error)
            return None
        if frame.failure is not None:
            site.survive(frame.failure)
        claim_frame(site, 0, frame, RegionKind.METADATA, "manifest")
        return manifest

    def values(self) -> list[Value]:
        """Return the values of the newest generation, and claim the nodes that lead to them."""
        version = self.newest
        found: list[Value] = []
        if version is not None and version.root is not None:
            found += self._walk(version.root, version.height, self.live, claim=True)
        return found

    @property
    def newest(self) -> Version | None:
        """The newest generation."""
        return self.manifest.versions[-1] if self.manifest is not None and self.manifest.versions else None

    @property
    def generations(self) -> tuple[int, ...]:
        """The generations that the manifest itself lists."""
        return (
            () if self.manifest is None else tuple(version.generation for version in self.manifest.versions)
        )

    def walk_older(self) -> None:
        """Find what older generations lead to, without claiming it: it can still be read, and nobody reads it
        by default.
        """
        if self.manifest is None:
            return
        versions = list(self.manifest.versions[:-1])
        pending = list(self.manifest.nodes)
        while pending:
            node = pending.pop()
            inner, below = self._version_node(node)
            versions += inner
            pending += below
        self._decoded = 0
        for version in versions:
            if version.root is not None:
                for value in self._walk(version.root, version.height, self.older, claim=False):
                    if value.node is None:
                        self.older.add(value.file, value.offset, value.size)

    def _version_node(self, node: VersionNode) -> tuple[tuple[Version, ...], tuple[VersionNode, ...]]:
        site = self._open(node.place)
        if site is None or not self.live.add(self._file(node.place), node.place.offset, node.place.size):
            return (), ()
        try:
            frame = self._frame(site, node.place, FrameKind.VERSION_NODE)
            found = read_version_node(
                OcdbtCursor(frame.body, site.source.name, 0, "a version node"), node.place.base
            )
            if any(one.height >= node.height for one in found[1]):
                raise FormatError(
                    "a version node leads to one that is not below it", site.source.name, node.place.offset
                )
        except FormatError as error:
            self._fail(site, error)
            return (), ()
        claim_frame(site, node.place.offset, frame, RegionKind.METADATA, "version node")
        return found

    def _walk(self, root: Place, height: int, reached: Reached, *, claim: bool) -> Iterator[Value]:
        """Yield the values below a node, each node once; those that cannot be read are reported."""
        pending: list[tuple[Place, int, bytes]] = [(root, height, b"")]
        while pending:
            place, expected, prefix = pending.pop()
            site = self._open(place)
            file = self._file(place)
            if site is None or (not claim and (place.offset, place.size) in self.live.spans.get(file, ())):
                continue
            if not reached.add(file, place.offset, place.size):
                if claim:
                    problem = "two entries lead to one node; it is read once"
                    self._fail(site, FormatError(problem, site.source.name, place.offset, Code.AMBIGUOUS))
                continue
            try:
                frame, node = self._node(site, place, expected)
            except FormatError as error:
                self._fail(site, error)
                continue
            held = _NodeMap(site, place.offset, frame, node, prefix)
            if claim:
                self.nodes.append(held)
            for entry in reversed(node.entries) if node.height else node.entries:
                if node.height and entry.place is not None:
                    pending.append((entry.place, node.height - 1, prefix + entry.key[: entry.common]))
                elif not node.height:
                    yield from self._value(entry, prefix, held)

    def _value(self, entry: Entry, prefix: bytes, node: _NodeMap) -> Iterator[Value]:
        key = (prefix + entry.key).decode(errors="replace")
        if entry.place is None:
            yield Value(key, node.site, entry.inline_offset, entry.size, node)
            return
        site = self._open(entry.place)
        if site is None:
            return
        if entry.place.offset + entry.size > site.source.size:
            left = max(site.source.size - entry.place.offset, 0)
            problem = f"the value of {key} needs {entry.size:,} bytes but {left:,} are left"
            self._fail(
                site, TruncatedError(problem, site.source.name, min(entry.place.offset, site.source.size))
            )
            return
        yield Value(key, site, entry.place.offset, entry.size, file=self._file(entry.place))

    def _node(self, site: Site, place: Place, height: int) -> tuple[Frame, Node]:
        frame = self._frame(site, place, FrameKind.BTREE_NODE)
        cursor = OcdbtCursor(frame.body, site.source.name, 0, "a B+tree node")
        node = read_node(cursor, place.base)
        if node.height != height:
            raise FormatError(
                f"a node of height {height} belongs here but one of {node.height} is",
                site.source.name,
                place.offset,
            )
        self._entries += len(node.entries)
        site.limits.allow("its keys", self._entries, site.limits.tensors, site.source.name, place.offset)
        return frame, node

    def _frame(self, site: Site, place: Place, kind: FrameKind) -> Frame:
        frame = read_frame(site.source, place.offset, place.size, kind, site.limits)
        if frame.failure is not None:
            site.survive(frame.failure)
        self._decoded += len(frame.body)
        most = min(_DECODED_FIRST + _DECODED_EACH * site.source.size, _DECODED_MOST)
        site.limits.allow(
            "decoding the nodes of a data file", self._decoded, most, site.source.name, place.offset
        )
        return frame

    def _file(self, place: Place) -> str:
        """Return the name in the location of the data file that a place is in."""
        return self.folder + place.path

    def _open(self, place: Place) -> Site | None:
        """Return the site of a data file.

        A path that leads out of the database names no file of the artifact.
        """
        name = self._file(place)
        if name in self.names and ".." not in name.split("/"):
            return self.parsing.open(name)
        self.is_whole = False
        if place.path not in self.missing:
            self.missing.add(place.path)
            is_outside = place.path.startswith("/") or ".." in place.path.split("/")
            code = Code.OUTSIDE if is_outside else Code.INCOMPLETE
            what = "leads out of the folder" if is_outside else "is missing"
            self.site.survive(
                FormatError(f"the data file {place.path!r} {what}", self.site.source.name, 0, code)
            )
        return None

    def _fail(self, site: Site, error: FormatError) -> None:
        self.is_whole = False
        site.survive(error)


def claim_frame(site: Site, offset: int, frame: Frame, kind: RegionKind, what: str) -> None:
    """Claim a frame whose body is one region."""
    claims = site.claims
    path = claims.path(what)
    claims.claim(offset, frame.header_size, RegionKind.CONTAINER, claims.paths.child(path, "header"))
    claims.claim(offset + frame.header_size, frame.stored_size, kind, claims.paths.child(path, "body"))
    end = offset + frame.size - 4
    claims.claim(end, 4, RegionKind.CONTAINER, claims.paths.child(path, "checksum"))


class _NodeMap:
    """One node. Labels are put on its decoded body; its stored bytes are shared out over them by length.

    A Zstandard frame does not say which of its bytes make which of the output's: the shares of one node sum
    to its size exactly, and each is an estimate.
    """

    __slots__ = ("_labels", "body", "frame", "node", "offset", "prefix", "site")

    def __init__(self, site: Site, offset: int, frame: Frame, node: Node, prefix: bytes) -> None:
        self.site = site
        self.offset = offset
        self.frame = frame
        self.node = node
        self.prefix = prefix
        self.body = frame.body
        self._labels: list[tuple[int, int, RegionKind, tuple[str, ...], TensorId]] = []

    @property
    def stream(self) -> Stream:
        """The decoded body, as a stream that can be opened again."""
        if not self.frame.is_compressed:
            return self.site.stream
        step = DecompressStep(
            self.offset + self.frame.header_size, self.frame.stored_size, ZSTD, len(self.body)
        )
        return self.site.stream.then(step)

    def stream_offset(self, offset: int) -> int:
        """Return where an offset of the body is in `stream`."""
        return offset if self.frame.is_compressed else self.offset + self.frame.header_size + offset

    def label(
        self, offset: int, size: int, kind: RegionKind, path: tuple[str, ...], tensor: TensorId = NO_TENSOR
    ) -> None:
        """Say what bytes of the body are."""
        if size > 0:
            self._labels.append((offset, size, kind, path, tensor))

    def extent(self, offset: int, size: int, encoding: str) -> Extent | None:
        """Return the stored bytes of a run of the body, None where its share is not a byte."""
        begin, end = self._stored(offset), self._stored(offset + size)
        if self.frame.is_compressed:
            encoding = ZSTD if encoding == "raw" else f"{ZSTD}+{encoding}"
        return self.site.extent(begin, end - begin, encoding) if end > begin else None

    def _stored(self, offset: int) -> int:
        """Return the byte of the data file to which the body's byte at ``offset`` belongs."""
        begin = self.offset + self.frame.header_size
        return begin + (
            offset * self.frame.stored_size // len(self.body) if self.frame.is_compressed else offset
        )

    def claim(self) -> None:
        """Claim the node. What nobody labelled is framing before the values, and metadata among them."""
        claims, node = self.site.claims, self.node
        root = claims.path("B+tree node")
        if self.prefix:
            root = claims.paths.child(root, self.prefix.decode(errors="replace"))
        claims.claim(
            self.offset, self.frame.header_size, RegionKind.CONTAINER, claims.paths.child(root, "header")
        )
        keys_end = node.keys_offset + node.keys_size
        plain = [
            (0, node.keys_offset, RegionKind.CONTAINER, ("lengths",), NO_TENSOR),
            (node.keys_offset, node.keys_size, RegionKind.METADATA, ("keys",), NO_TENSOR),
            (keys_end, node.values_offset - keys_end, RegionKind.CONTAINER, ("places",), NO_TENSOR),
        ]
        end = 0
        for offset, size, kind, path, tensor in [*plain, *sorted(self._labels, key=lambda label: label[0])]:
            self._piece(end, offset, RegionKind.METADATA, ("values",), NO_TENSOR)
            self._piece(max(offset, end), offset + size, kind, path, tensor)
            end = max(end, offset + size)
        self._piece(end, len(self.body), RegionKind.METADATA, ("values",), NO_TENSOR)
        checksum = self.offset + self.frame.size - CHECKSUM_SIZE
        claims.claim(checksum, CHECKSUM_SIZE, RegionKind.CONTAINER, claims.paths.child(root, "checksum"))
        self.body = b""

    def _piece(self, begin: int, end: int, kind: RegionKind, path: tuple[str, ...], tensor: TensorId) -> None:
        first, last = self._stored(begin), self._stored(end)
        if last > first:
            claims = self.site.claims
            claims.claim(first, last - first, kind, claims.path("B+tree node", *path), tensor)
