"""What formats need to turn bytes into facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from modelinspect.core.artifact import (
    Artifact,
    Diagnostic,
    Document,
    DocumentKind,
    FormatName,
    LogicalMap,
    Member,
    Severity,
)
from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import TensorId
from modelinspect.core.facts import Facts
from modelinspect.core.limits import Limits
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.core.tensors import ByteOrder, Extent, RawPayload, Stream, Tensor, WindowStep
from modelinspect.encodings.walk import Walk
from modelinspect.errors import Code, FormatError, TruncatedError
from modelinspect.sources.base import Source, WindowSource
from modelinspect.sources.files import FileSet

_DOCUMENTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the public table of formats says about one; `docs/generate_reference.py` writes it.

    ``names`` are those that artifacts of the format get, ``files`` what its files are called (Markdown),
    ``page`` the page on its bytes, and ``limitations`` what valid files may have that is not read, one
    sentence each.
    """

    title: str
    names: tuple[FormatName, ...]
    files: tuple[str, ...]
    page: str
    limitations: tuple[str, ...] = ()


class Format(Protocol):
    """An artifact format: one module, one name in the registry."""

    name: FormatName
    about: About

    def detect(self, parsing: Parsing) -> bool:
        """Return whether the files are of this format, from a few bytes or names."""

    def parse(self, parsing: Parsing) -> FormatName:
        """Claim the bytes, add the tensors and facts, and return the format's name.

        Trouble is a diagnostic (`Site.diagnose`), the bytes that it hides stay unattributed, and the walk
        goes on.
        """


@dataclass(frozen=True, slots=True)
class Site:
    """Where a parser is: bytes to read, a map to claim them on, and the way back to them.

    Offsets count from the start of ``source``; the site translates them to the member's.
    """

    parsing: Parsing
    source: Source
    claims: ByteMapBuilder
    stream: Stream

    @property
    def limits(self) -> Limits:
        """The limits of the whole artifact."""
        return self.parsing.limits

    @property
    def walk(self) -> Walk:
        """What an encoding needs to walk the site's bytes."""
        return Walk(self.source, self.claims, self.limits, self.survive)

    def window(self, offset: int, size: int, path: PathId) -> Site:
        """Return the site of a run of bytes that is its own stream."""
        source = WindowSource(self.source, offset, size)
        return Site(
            self.parsing,
            source,
            self.claims.window(offset, size, path),
            self.stream.then(WindowStep(offset, size)),
        )

    def extent(self, offset: int, size: int, encoding: str = "raw") -> Extent:
        """Return the stored bytes of a tensor."""
        return Extent(self.claims.member, Span(self.claims.base + offset, size), encoding)

    def extent_of(self, span: Span) -> Extent:
        """Return the stored bytes of a tensor that are in a span as they are in memory."""
        return Extent(self.claims.member, span if not self.claims.base else span.shifted(self.claims.base))

    def raw(self, spans: tuple[Span, ...], byte_order: ByteOrder = ByteOrder.LITTLE) -> RawPayload:
        """Return the payload of elements that are in spans of the source as they are in memory."""
        return RawPayload(self.stream, spans, byte_order)

    def diagnose(
        self,
        problem: str,
        offset: int | None = None,
        severity: Severity = Severity.WARNING,
        code: Code = Code.MALFORMED,
    ) -> None:
        """Report trouble that the parser survives. Raises `FormatError` when parsing strictly."""
        place = None if offset is None else self.claims.base + offset
        self.parsing.diagnose(Diagnostic(severity, problem, self.claims.member, place, code))

    def document(
        self, kind: DocumentKind, span: Span | None = None, label: str = "", data: bytes | None = None
    ) -> None:
        """Note where something is that a rule may want to read; the whole source by default."""
        self.parsing.keep_document(
            Document(kind, self.stream, span or Span(0, self.source.size), label, data)
        )

    def survive(self, error: FormatError, severity: Severity = Severity.WARNING) -> None:
        """Report an error that a structure of this site raised, and go on; missing bytes are an error."""
        self.diagnose(
            error.problem,
            error.offset,
            Severity.ERROR if isinstance(error, TruncatedError) else severity,
            error.code,
        )


class Parsing:
    """An artifact being put together: its files, members, tensors, facts and diagnostics."""

    def __init__(self, files: FileSet, limits: Limits | None = None, *, strict: bool = False) -> None:
        self.files = files
        self.limits = files.budgeted(limits)
        self.strict = strict
        self.facts: Facts = {}
        self._sites: dict[str, Site] = {}
        self._tensors: list[Tensor] = []
        self._diagnostics: list[Diagnostic] = []
        self._diagnostic_count = 0
        self._finishers: list[Callable[[], None]] = []
        self._logical: dict[str, list[LogicalMap]] = {}
        self._documents: list[Document] = []
        self._decoded: dict[Stream, ByteMapBuilder] = {}

    @property
    def primary(self) -> str | None:
        """The one file that the location points to, or None for a directory."""
        return self.files.primary

    def names(self) -> tuple[str, ...]:
        """Return the files within the location."""
        return self.files.names()

    def neighbours(self) -> tuple[str, ...]:
        """Return the files beside the primary one, which may belong to the artifact too."""
        return self.files.neighbours()

    def beside(self, name: str) -> Site | None:
        """Return the site of a file beside the primary one that it refers to by name, None where there is
        none.
        """
        return self.open(name) if name != self.primary and self.files.has_neighbour(name) else None

    def opened(self) -> tuple[str, ...]:
        """Return the files that are members by now, sorted."""
        return tuple(sorted(self._sites))

    def peek(self, name: str, size: int) -> bytes:
        """Return the first bytes of a file, fewer where it is shorter; the file does not become a member."""
        source = self.files.open(name)
        return source.read_at(0, min(size, source.size))

    def open(self, name: str) -> Site:
        """Make a file a member of the artifact and return its site, the same each time."""
        site = self._sites.get(name)
        if site is None:
            source = self.files.open(name)
            site = self._sites[name] = Site(
                self, source, ByteMapBuilder(name, source.size, self.limits), Stream(name)
            )
        return site

    def add_tensor(self, tensor: Tensor) -> TensorId:
        """Add a tensor and return its id, for the regions that store it."""
        self.limits.allow("its list of tensors", len(self._tensors) + 1, self.limits.tensors)
        self._tensors.append(tensor)
        return TensorId(len(self._tensors) - 1)

    def tensor(self, tensor: TensorId) -> Tensor:
        """Return a tensor that was added."""
        return self._tensors[tensor]

    def replace_tensor(self, tensor: TensorId, by: Tensor) -> None:
        """Put a better description in a tensor's place."""
        self._tensors[tensor] = by

    def tensors_from(self, first: int) -> Iterator[tuple[TensorId, Tensor]]:
        """Yield the tensors that were added from number ``first`` on."""
        for number in range(first, len(self._tensors)):
            yield TensorId(number), self._tensors[number]

    def translate(
        self, member: str, tensor: Callable[[Tensor], Tensor], diagnostic: Callable[[Diagnostic], Diagnostic]
    ) -> None:
        """Rewrite what describes a member that is not in the artifact: tensors with an extent there,
        diagnostics.
        """
        for index, old in enumerate(self._tensors):
            if any(extent.member == member for extent in old.extents):
                self._tensors[index] = tensor(old)
        self._diagnostics[:] = [diagnostic(old) if old.member == member else old for old in self._diagnostics]

    def extents_in(self, member: str) -> list[Extent]:
        """Return the extents of tensors in a member."""
        return [extent for tensor in self._tensors for extent in tensor.extents if extent.member == member]

    @property
    def tensor_count(self) -> int:
        """How many tensors were added."""
        return len(self._tensors)

    def diagnose(self, diagnostic: Diagnostic) -> None:
        """Report trouble. Raises `FormatError` for a warning or an error when parsing strictly."""
        if self.strict and diagnostic.severity is not Severity.NOTE:
            raise FormatError(diagnostic.problem, diagnostic.member, diagnostic.offset, diagnostic.code)
        self._diagnostic_count += 1
        if len(self._diagnostics) < self.limits.diagnostics:
            self._diagnostics.append(diagnostic)

    def at_finish(self, finisher: Callable[[], None]) -> None:
        """Have something done when every parser is through, before the maps are built; the last that was
        added comes first.
        """
        self._finishers.append(finisher)

    def keep_logical(self, member: str, logical: LogicalMap) -> None:
        """Keep the map of what a compressed run of a member decodes to."""
        self._logical.setdefault(member, []).append(logical)

    def documents(self) -> tuple[Document, ...]:
        """Return the documents that were kept so far."""
        return tuple(self._documents)

    def sites(self) -> dict[str, Site]:
        """Return the sites of the members that were opened so far, by name."""
        return dict(self._sites)

    def keep_decoded(self, stream: Stream, claims: ByteMapBuilder) -> None:
        """Keep where the bytes of a stream that is decompressed are claimed, until its stored bytes are
        shared out.
        """
        self._decoded[stream] = claims

    def claims_of(self, stream: Stream) -> tuple[ByteMapBuilder, int] | None:
        """Return where the bytes of a stream are claimed, and the offset there at which it begins; None where
        no parser opened it.
        """
        base = 0
        for count in range(len(stream.steps), -1, -1):
            outer = Stream(stream.member, stream.steps[:count])
            if outer in self._decoded:
                return self._decoded[outer], base
            step = stream.steps[count - 1] if count else None
            if isinstance(step, WindowStep):
                base += step.offset
            elif step is not None:
                return None
        site = self._sites.get(stream.member)
        return None if site is None else (site.claims, base)

    def keep_document(self, document: Document) -> None:
        """Keep a document; beyond a number that no model has, a fact says that some were not."""
        self._documents.append(document)
        if len(self._documents) > _DOCUMENTS:
            self._documents.pop()
            self.facts["documents_left_out"] = True

    def _report_passed_over(self) -> None:
        """Report links, pipes and devices that would belong to the artifact and are not read."""
        primary = self.files.primary
        stem = None if primary is None else primary.rsplit(".", 1)[0]
        for name, why in sorted(self.files.passed_over().items()):
            if stem is None or name.startswith(stem):
                member = next(iter(sorted(self._sites)), name)
                self.diagnose(
                    Diagnostic(Severity.WARNING, f"{name} {why}, and is not read", member, None, Code.LINK)
                )

    def finish(self, name: FormatName) -> Artifact:
        """Make the artifact.

        Bytes that nobody claimed are unattributed; the parser that left them so has said why.
        """
        while self._finishers:
            self._finishers.pop()()
        self._report_passed_over()
        members: list[Member] = []
        for member, site in sorted(self._sites.items()):
            built = site.claims.build()
            for collision in built.collisions:
                problem = (
                    f"{'/'.join(collision.path)} claims {collision.size:,} bytes that"
                    f" {'/'.join(collision.holder)} holds"
                )
                self.diagnose(Diagnostic(Severity.WARNING, problem, member, collision.offset, Code.COLLISION))
            self._diagnostic_count += built.collision_count - len(built.collisions)
            logical = sorted(self._logical.get(member, ()), key=lambda one: one.span)
            members.append(Member(member, built.map, tuple(logical)))
        # They refer back to this: what they hold is freed now, and not when the collector of cycles runs.
        self._sites.clear()
        return Artifact(
            self.files.location,
            name,
            tuple(members),
            tuple(self._tensors),
            self.facts,
            tuple(self._diagnostics),
            self._diagnostic_count,
            tuple(self._documents),
        )


def parse_with(
    format: Format, files: FileSet, limits: Limits | None = None, *, strict: bool = False
) -> Artifact:
    """Parse files with one format. Raises `ModelInspectError`."""
    parsing = Parsing(files, limits, strict=strict)
    return parsing.finish(format.parse(parsing))
