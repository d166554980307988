"""Open compressed runs as their own sites, and share their stored bytes out over what they decode to.

A compressed run has two maps. Parsers claim on the *logical* one, of the decoded bytes. When all are through,
each of its regions gets the stored bytes that the decoder had to consume between the region's borders, so the
totals are exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelinspect.core.artifact import Diagnostic, LogicalMap, Severity
from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import ByteMap, RegionKind
from modelinspect.core.paths import PathId
from modelinspect.core.records import dataclass, replace
from modelinspect.core.span import Span
from modelinspect.core.tensors import DecompressStep, Extent, Storage, Tensor
from modelinspect.encodings.gzip import walk_gzip
from modelinspect.formats.base import Site
from modelinspect.sources.decoders import Codec
from modelinspect.sources.decompressed import DecompressedSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def open_compressed(site: Site, run: Span, source: DecompressedSource, codec: Codec, path: PathId) -> Site:
    """Return the site of what the site's bytes ``run`` decode to, as ``source`` reads them.

    Its regions become regions of the outer site below ``path`` when parsing finishes.
    """
    # An offset makes the name of this member, which the finished artifact does not have, unique.
    member = f"{source.name} at {site.claims.base + run.offset}"
    claims = ByteMapBuilder(member, source.size, site.limits)
    step = DecompressStep(run.offset, run.size, codec.value, source.size)
    inner = Site(site.parsing, source, claims, site.stream.then(step))
    site.parsing.keep_decoded(inner.stream, claims)
    framing: tuple[Span, ...] = ()
    if codec is Codec.GZIP:
        framing = walk_gzip(
            site.window(run.offset, run.size, path).walk, source.frames, broken=source.failure is not None
        )
    site.parsing.at_finish(_Share(site, inner, source, run, codec, path, framing).share_out)
    return inner


@dataclass(frozen=True, slots=True)
class _Share:
    """A compressed run whose stored bytes are to be shared out.

    ``framing`` are spans of the run that are claimed already.
    """

    outer: Site
    inner: Site
    source: DecompressedSource
    run: Span
    codec: Codec
    path: PathId
    framing: tuple[Span, ...]

    def share_out(self) -> None:
        """Claim the stored bytes for the regions of the logical map, and translate the extents of its
        tensors.
        """
        import numpy as np

        parsing, member = self.outer.parsing, self.inner.claims.member
        built = self.inner.claims.build()
        for collision in built.collisions:
            problem = (
                f"{'/'.join(collision.path)} claims {collision.size:,} bytes that"
                f" {'/'.join(collision.holder)} holds"
            )
            self.inner.diagnose(problem, collision.offset)
        extents = parsing.extents_in(member)
        if len(built.map) <= 1 and not extents:  # one region has all the bytes: nothing needs to be decoded
            table: dict[int, int] = {0: 0, self.source.size: self.run.size}
            stored_end = self.run.size
        else:
            ends = [extent.span.end for extent in extents] + [extent.span.offset for extent in extents]
            borders = np.unique(
                np.concatenate(
                    (built.map.columns.offsets, [self.source.size], np.array(ends, dtype=np.int64))
                )
            ).tolist()
            table = dict(zip(borders, self.source.positions(borders), strict=True))
            table[0] = 0
            stored_end = table[self.source.size] = self.source.stored_end
        self._claim(built.map, table)
        span = Span(self.outer.claims.base + self.run.offset, self.run.size)
        path = self.outer.claims.paths.parts(self.path)
        parsing.keep_logical(self.outer.claims.member, LogicalMap(span, self.codec.value, path, built.map))
        self._finish_run(stored_end)

        def tensor(old: Tensor) -> Tensor:
            return replace(
                old,
                storage=Storage.COMPRESSED,
                extents=tuple(new for extent in old.extents for new in self._extents(extent, table)),
            )

        def diagnostic(old: Diagnostic) -> Diagnostic:
            where = "" if old.offset is None else f" (at byte {old.offset:,} of what it decompresses to)"
            place = self.outer.claims.base + self.run.offset
            return Diagnostic(
                old.severity, f"{old.problem}{where}", self.outer.claims.member, place, old.code
            )

        parsing.translate(member, tensor, diagnostic)

    def _claim(self, logical: ByteMap, table: dict[int, int]) -> None:
        import numpy as np

        if not len(logical):
            return
        columns = logical.columns
        starts = np.array([table[offset] for offset in columns.offsets.tolist()], dtype=np.int64)
        ends = np.concatenate((starts[1:], [table[self.source.size]]))
        rows, starts, ends = _without(np.arange(len(starts)), starts, ends, self.framing)
        paths = np.array(_graft(self.outer.claims, logical, self.path), dtype=np.int32)
        self.outer.claims.claim_many(
            starts + self.run.offset,
            ends - starts,
            columns.kinds[rows],
            paths[columns.paths[rows]],
            columns.tensors[rows],
        )

    def _extents(self, extent: Extent, table: dict[int, int]) -> list[Extent]:
        """Return where a tensor's logical bytes are stored; extents elsewhere stay as they are."""
        import numpy as np

        if extent.member != self.inner.claims.member:
            return [extent]
        encoding = self.codec.value if extent.encoding == "raw" else f"{self.codec.value}+{extent.encoding}"
        begin, end = np.array([table[extent.span.offset]]), np.array([table[extent.span.end]])
        _, starts, ends = _without(np.zeros(1, dtype=np.int64), begin, end, self.framing)
        pairs = zip((starts + self.run.offset).tolist(), (ends + self.run.offset).tolist(), strict=True)
        return [self.outer.extent(begin, end - begin, encoding) for begin, end in pairs if begin < end]

    def _finish_run(self, stored_end: int) -> None:
        """Say what is wrong with the run, and what the bytes after its stream are."""
        failure = self.source.failure
        if failure is not None:
            self.outer.diagnose(failure.problem, self.run.offset + stored_end, Severity.ERROR, failure.code)
        elif stored_end < self.run.size and self.codec is not Codec.GZIP:
            left = self.run.size - stored_end
            offset = self.run.offset + stored_end
            self.outer.diagnose(f"{left:,} bytes are after the end of the compressed stream", offset)
            path = self.outer.claims.paths.child(self.path, "trailing bytes")
            self.outer.claims.claim(offset, left, RegionKind.FREE, path)


def _graft(claims: ByteMapBuilder, logical: ByteMap, root: PathId) -> list[PathId]:
    """Copy the paths of the logical map below ``root``; return the new id of each."""
    table = logical.path_table
    ids = [root]
    for parent, name in zip(table.parents[1:], table.names[1:], strict=True):
        ids.append(claims.paths.add(ids[parent], name))
    return ids


def _without(
    rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64], framing: tuple[Span, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Cut the framing out of ascending spans; a span that framing parts becomes several of the same row."""
    import numpy as np

    if not framing:
        return rows, starts, ends
    pieces: list[tuple[int, int, int]] = []
    ordered = sorted(framing)
    first = 0
    for row, start, end in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True):
        while first < len(ordered) and ordered[first].end <= start:
            first += 1
        index = first
        while start < end and index < len(ordered) and ordered[index].offset < end:
            if start < ordered[index].offset:
                pieces.append((row, start, ordered[index].offset))
            start = ordered[index].end
            index += 1
        if start < end:
            pieces.append((row, start, end))
    columns: NDArray[Any] = np.array(pieces, dtype=np.int64).reshape(-1, 3)
    return columns[:, 0], columns[:, 1], columns[:, 2]
