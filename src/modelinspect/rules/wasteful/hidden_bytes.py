"""Find bytes that are not zero in free space."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.encodings.hdf5.state import STALE_ENTRIES, STALE_KEYS
from modelinspect.measure.free import HiddenBytes
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import shown_bytes
from modelinspect.reports.categories import Category
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Evidence, Finding, Rule, Threshold

_STALE = frozenset((STALE_KEYS, STALE_ENTRIES))


def _find(subject: Subject) -> Iterator[Finding]:
    hidden = subject.hidden
    if hidden is None or not hidden.regions:
        return
    stale = [region for region in hidden.regions if _is_stale(region)]
    others = [region for region in hidden.regions if not _is_stale(region)]
    if not others:
        return
    count = hidden.byte_count - sum(region.count for region in stale)
    largest = max(others, key=lambda region: (region.count, -region.first))
    of_member = f" of {largest.member}" if len(subject.artifact.members) > 1 else ""
    message = (
        f"{count:,} of {subject.sizes[Category.FREE]:,} bytes of free space are not zero, in"
        f" {plural(hidden.region_count - len(stale), 'region')}: deleted, overwritten or hidden content. The"
        f" largest region holds {largest.count:,} of them from byte {largest.first:,}"
        f" ({largest.first:#x}){of_member}"
    )
    yield Finding(message, count, shown_bytes(subject.artifact, largest.member, largest.first))


def _is_stale(region: HiddenBytes) -> bool:
    """Return whether a region holds keys that the HDF5 library left in a B-tree node."""
    return bool(region.path) and region.path[-1] in _STALE


RULE = Rule(
    "hidden-bytes",
    Severity.NOTE,
    "Free space may hold deleted or hidden content.",
    _find,
    example=(
        "600 of 1,000 bytes of free space are not zero, in 1 region: deleted, overwritten or hidden "
        "content. The largest region holds 600 of them from byte 10 (0xa)"
    ),
    remedies=(
        Remedy.LOOK_AND_REPACK,
        Remedy.LOOK,
    ),
    evidence=(Evidence.FREE_BYTES,),
    worth=Threshold(256),
)
