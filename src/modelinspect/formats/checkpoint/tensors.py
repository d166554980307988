"""Map the shards of a bundle: turns index entries into tensors and claims their bytes, without reading
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import RegionKind, TensorId
from modelinspect.core.names import KEY_END, OBJECT_GRAPH_KEY
from modelinspect.core.records import dataclass, replace
from modelinspect.core.span import Span
from modelinspect.core.tensors import (
    ElementKind,
    Extent,
    JoinedPayload,
    Payload,
    RawPayload,
    Role,
    Storage,
    Tensor,
    dense_size,
)
from modelinspect.encodings.protobuf import message
from modelinspect.errors import FormatError
from modelinspect.formats.base import Parsing, Site
from modelinspect.formats.checkpoint.bundle import OBJECT_CONFIG_SUFFIX, Bundle, BundleEntry, expected_size
from modelinspect.formats.checkpoint.names import use_by_name
from modelinspect.formats.checkpoint.slices import TensorSlice, runs
from modelinspect.formats.checkpoint.strings import claim_variants, read_strings
from modelinspect.formats.graph.object_graph import TABLE_SUFFIXES
from modelinspect.formats.graph.trackable import Use

"""What the key of an object's variable ends in."""
PADDING_MOST = 4096
"""A longer gap is not an alignment."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The bytes of an entry that are there, and what says why they cannot be read as numbers."""

    site: Site
    spans: tuple[Span, ...]
    note: str = ""


def read_object_graph(parsing: Parsing, bundle: Bundle) -> bytes | None:
    """Claim and return the object graph, which is a string tensor; None where there is none or it cannot be
    read.
    """
    entry = next(
        (
            entry
            for entry in bundle.entries
            if entry.name == OBJECT_GRAPH_KEY and entry.dtype.kind is ElementKind.STRING
        ),
        None,
    )
    if entry is None or entry.slices or entry.shard not in bundle.shards:
        return None
    site = parsing.open(bundle.shards[entry.shard])
    if entry.span.end > site.source.size:
        return None
    try:
        strings = read_strings(
            site, entry.span, prod(entry.shape), bundle.byte_order, site.claims.path(OBJECT_GRAPH_KEY)
        )
        site.limits.allow(
            "the object graph",
            strings.span.size,
            site.limits.structure_size,
            site.source.name,
            strings.span.offset,
        )
    except FormatError as error:
        site.survive(error)
        return None
    _claim_graph(site, strings.span)
    return site.source.read_at(strings.span.offset, strings.span.size)


def _claim_graph(site: Site, span: Span) -> None:
    """Claim the object graph node by node."""
    # A SavedModel has a checkpoint in it and knows this module; its walk over messages serves here too.
    from modelinspect.formats.graph.messages import MessageWalk

    inner = site.window(span.offset, span.size, site.claims.path(OBJECT_GRAPH_KEY, "TrackableObjectGraph"))
    MessageWalk(inner).root(message("TrackableObjectGraph"), RegionKind.METADATA)


class Placer:
    """Adds the tensors of one bundle to an artifact and claims their bytes in its shards."""

    def __init__(
        self, parsing: Parsing, bundle: Bundle, uses: Mapping[str, Use], name_prefix: str = ""
    ) -> None:
        self._parsing = parsing
        self._bundle = bundle
        self._uses = uses
        self._prefix = name_prefix
        self._names = frozenset(entry.name for entry in bundle.entries)
        self._sites = {number: parsing.open(name) for number, name in sorted(bundle.shards.items())}
        self.purposes: dict[str, Use] = {}
        """What each tensor is for, by key."""
        self._seen: dict[tuple[int, int, int], int] = {}
        self._aliases: dict[TensorId, list[str]] = {}
        self._slices: dict[str, list[BundleEntry]] = {}
        self._missing: dict[int, int] = {}
        self._cut: dict[int, int] = {}

    def place(self) -> None:
        """Place every entry; its tensor's id goes into the bundle's entries."""
        entries = self._bundle.entries
        for entry in entries:
            if entry.slice is not None:
                self._slices.setdefault(entry.name, []).append(entry)
        for index, entry in enumerate(entries):
            if entry.slice is None:
                try:
                    entry.tensor = self._place(entry, index)
                except FormatError as error:
                    self._bundle.complete = False
                    self._site(entry).survive(
                        FormatError(
                            f"tensor {entry.name}: {error.problem}", error.member, error.offset, error.code
                        )
                    )
        for tensor, aliases in self._aliases.items():
            self._parsing.replace_tensor(
                tensor, replace(self._parsing.tensor(tensor), aliases=tuple(aliases))
            )
        for name, lost in self._slices.items():
            self._report(f"the index has {len(lost)} slices of {name} but no such tensor")
            self._bundle.complete = False
        self._report_shards()
        if self._bundle.complete:
            self._fill()

    def _site(self, entry: BundleEntry) -> Site:
        return self._sites.get(entry.shard) or self._parsing.open(self._bundle.index)

    def _report(self, problem: str) -> None:
        self._parsing.open(self._bundle.index).diagnose(problem)

    def _place(self, entry: BundleEntry, index: int) -> TensorId | None:
        if entry.name == OBJECT_GRAPH_KEY and self._bundle.object_graph is not None:
            return None
        if entry.slices:
            return self._place_slices(entry)
        place = entry.shard, entry.span.offset, entry.span.size
        known = self._seen.get(place) if entry.span.size else None
        if known is not None and (entry.dtype, entry.shape) == (
            self._bundle.entries[known].dtype,
            self._bundle.entries[known].shape,
        ):
            return self._add_alias(entry, self._bundle.entries[known].tensor)
        self._seen[place] = index
        config = entry.name.endswith(OBJECT_CONFIG_SUFFIX) and entry.dtype.kind is ElementKind.STRING
        stored = self._stored(entry)
        if stored is None:
            # The object graph describes the checkpoint; like a layer's configuration it is not one of its
            # tensors.
            described = config or (entry.name == OBJECT_GRAPH_KEY and entry.dtype.kind is ElementKind.STRING)
            return None if described else self._add(entry, (), None, "its shard is missing")
        if stored.note:
            return self._add_claimed(entry, stored, None)
        if entry.dtype.kind is ElementKind.STRING:
            path = stored.site.claims.path(entry.name)
            strings = read_strings(stored.site, entry.span, prod(entry.shape), self._bundle.byte_order, path)
            if config:
                stored.site.claims.claim(strings.span.offset, strings.span.size, RegionKind.GRAPH, path)
                return None
            return self._add_claimed(
                entry, Stored(stored.site, (strings.span,), "strings have no zeros to count"), None
            )
        if entry.dtype.name == "variant":
            tensor = self._parsing.tensor_count
            path = stored.site.claims.path(entry.name)
            spans = claim_variants(stored.site, entry.span, prod(entry.shape), path, TensorId(tensor))
            return self._add(
                entry,
                tuple(stored.site.extent(s.offset, s.size) for s in spans),
                None,
                "variants hold objects, not numbers",
            )
        expected = expected_size(entry.dtype, entry.shape)
        if expected is None or expected != entry.span.size:
            wanted = "" if expected is None else f", its shape {expected:,}"
            note = f"the index gives {entry.span.size:,} bytes of {entry.dtype}{wanted}"
            self._report(f"tensor {entry.name}: {note}")
            return self._add_claimed(entry, Stored(stored.site, stored.spans, note), None)
        if 0 < entry.dtype.bits < 8:
            return self._add_claimed(
                entry, Stored(stored.site, stored.spans, f"{entry.dtype} elements take a byte each"), None
            )
        return self._add_claimed(entry, stored, stored.site.raw(stored.spans, self._bundle.byte_order))

    def _stored(self, entry: BundleEntry) -> Stored | None:
        """Return the bytes of an entry that its shard has, None where there is no shard."""
        site = self._sites.get(entry.shard)
        if site is None:
            self._missing[entry.shard] = self._missing.get(entry.shard, 0) + 1
            return None
        if entry.span.end <= site.source.size:
            return Stored(site, (entry.span,) if entry.span.size else ())
        self._cut[entry.shard] = max(self._cut.get(entry.shard, 0), entry.span.end)
        left = site.source.size - entry.span.offset
        return Stored(
            site, (Span(entry.span.offset, left),) if left > 0 else (), "its shard ends before it does"
        )

    def _place_slices(self, entry: BundleEntry) -> TensorId:
        """Add a partitioned tensor, whose bytes its slices hold."""
        tensor = TensorId(self._parsing.tensor_count)
        extents: list[Extent] = []
        found: list[tuple[TensorSlice, BundleEntry]] = []
        note, is_reported = "", False
        for part in self._slices.pop(entry.name, []):
            box = part.slice.within(entry.shape) if part.slice is not None else None
            stored = self._stored(part)
            if stored is not None:
                claims = stored.site.claims
                path = claims.path(entry.name, str(part.slice))
                for span in stored.spans:
                    claims.claim(span.offset, span.size, RegionKind.TENSOR_DATA, path, tensor)
                    extents.append(stored.site.extent(span.offset, span.size))
            if stored is None or stored.note:
                is_reported = is_reported or not note  # missing shards are reported once, each with its bytes
                note = note or "its shard is missing or ends early"
            elif box is None or part.span.size != expected_size(entry.dtype, box.lengths):
                note, is_reported = "a slice does not fit its shape", False
            else:
                found.append((box, part))
        payload = None if note else self._join(entry, found)
        if payload is None and not note:
            note = "its slices do not tile it"
        if payload is None and not is_reported:
            self._report(f"tensor {entry.name}: {note}")
        return self._add(entry, tuple(extents), payload, note)

    def _join(self, entry: BundleEntry, found: list[tuple[TensorSlice, BundleEntry]]) -> Payload | None:
        """Return the elements of slices in row-major order."""
        pieces = runs(entry.shape, [box for box, _ in found])
        size = entry.dtype.bits // 8
        if pieces is None or not size:
            return None
        joined: list[tuple[int, list[Span]]] = []
        for piece in pieces:
            part = found[piece.part][1]
            if not joined or joined[-1][0] != part.shard:
                joined.append((part.shard, []))
            joined[-1][1].append(Span(part.span.offset + piece.offset * size, piece.count * size))
        order = self._bundle.byte_order
        parts = tuple(RawPayload(self._sites[shard].stream, tuple(spans), order) for shard, spans in joined)
        return parts[0] if len(parts) == 1 else JoinedPayload(parts)

    def _add_claimed(self, entry: BundleEntry, stored: Stored, payload: Payload | None) -> TensorId:
        """Add a tensor whose bytes are in the spans, and claim these."""
        site = stored.site
        extents = tuple([site.extent_of(span) for span in stored.spans if span.size])
        tensor = self._add(entry, extents, payload, stored.note)
        claims = site.claims
        for span in stored.spans:
            claims.claim(span.offset, span.size, RegionKind.TENSOR_DATA, claims.path(entry.name), tensor)
        return tensor

    def _add(
        self, entry: BundleEntry, extents: tuple[Extent, ...], payload: Payload | None, note: str = ""
    ) -> TensorId:
        use = self.purposes[entry.name] = self._use(entry)
        # A shape that its bytes contradict may be of any size: it is not repeated, the number of bytes is.
        sound = (
            payload is not None
            or entry.dtype.bits == 0
            or expected_size(entry.dtype, entry.shape) == entry.span.size
            or entry.slices
        )
        shape = entry.shape if sound and prod(entry.shape) < 1 << 62 else ()
        held = sum(extent.span.size for extent in extents)
        logical = dense_size(entry.dtype, shape) if entry.dtype.bits and sound else held
        return self._parsing.add_tensor(
            Tensor(
                self._prefix + (use.given or entry.name.removesuffix(KEY_END)),
                entry.dtype,
                shape,
                use.role,
                Storage.DENSE,
                extents,
                logical,
                use.layer,
                payload,
                note,
                path=self._prefix + entry.name,
            )
        )

    def _add_alias(self, entry: BundleEntry, tensor: TensorId | None) -> TensorId | None:
        """Give a tensor that is at the same bytes one more name."""
        if tensor is not None:
            self._aliases.setdefault(tensor, []).append(self._prefix + entry.name)
        return tensor

    def _use(self, entry: BundleEntry) -> Use:
        """Return what a tensor is for: by the object graph, else by its name; counters and strings are not
        weights.
        """
        use = self._uses.get(entry.name)
        if use is None and entry.name.endswith(TABLE_SUFFIXES):
            for suffix in TABLE_SUFFIXES:
                if use is None and entry.name.endswith(suffix):
                    use = self._uses.get(entry.name.removesuffix(suffix))
        if use is None:
            use = use_by_name(entry.name, self._names)
        if use.role is Role.WEIGHT:
            if entry.dtype.kind in (ElementKind.STRING, ElementKind.OPAQUE):
                return replace(
                    use,
                    role=Role.OTHER,
                    purpose="strings" if entry.dtype.kind is ElementKind.STRING else "objects",
                )
            if entry.dtype.kind in (ElementKind.INT, ElementKind.UINT, ElementKind.BOOL) and not entry.shape:
                return replace(use, role=Role.OTHER, purpose="counter")
        return use

    def _report_shards(self) -> None:
        site = self._parsing.open(self._bundle.index)
        for shard, count in sorted(self._missing.items()):
            name = f"{self._bundle.prefix}.data-{shard:05d}-of-{self._bundle.shard_count:05d}"
            site.diagnose(
                f"shard {name} is missing: {count:,} tensors have no bytes", severity=Severity.ERROR
            )
        for shard, end in sorted(self._cut.items()):
            at = self._sites[shard].source.size
            self._sites[shard].diagnose(
                f"the shard is cut short: the index needs {end:,} bytes of it", at, Severity.ERROR
            )

    def _fill(self) -> None:
        """Label what no entry names: alignment before a tensor, or bytes that nobody refers to."""
        by_shard: dict[int, list[Span]] = {}
        for entry in self._bundle.entries:
            by_shard.setdefault(entry.shard, []).append(entry.span)
        for number, site in self._sites.items():
            claims, size, reached = site.claims, site.source.size, 0
            claims.fill(0, size, RegionKind.FREE, claims.path("unreferenced"))
            for span in sorted(by_shard.get(number, [])):
                gap = min(span.offset, size) - reached
                if gap > 0 and _is_padding(site, reached, gap, span.offset):
                    claims.fill(reached, gap, RegionKind.FREE, claims.path("alignment padding"))
                else:
                    self._bundle.unreferenced += max(gap, 0)
                reached = max(reached, min(span.end, size))
            self._bundle.unreferenced += size - reached


def _is_padding(site: Site, offset: int, size: int, end: int) -> bool:
    """Return whether a gap is what aligns the tensor after it: zeros, shorter than the power of two that its
    end divides by.
    """
    return size <= PADDING_MOST and size < (end & -end) and not any(site.source.read_at(offset, size))
