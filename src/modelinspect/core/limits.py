"""Limits on the time and memory that one artifact may cost, and what it has cost so far."""

from __future__ import annotations

from enum import StrEnum
from time import thread_time
from typing import Any, Self

from modelinspect.core.records import dataclass, field, fields, replace
from modelinspect.errors import Code, LimitError, UsageError

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


class Cost(StrEnum):
    """What is counted for the artifact as a whole: many small things, each within its limit, can be too much
    together.
    """

    DECOMPRESSED = "bytes decompressed"
    COPIED = "bytes copied from shared objects"
    NODES = "graph nodes"
    MEMBERS = "files in archives"


class Ledger:
    """What one artifact has cost in the current pass (parsing, measuring).

    ``stored`` are the bytes of the files that were opened.
    """

    __slots__ = ("began", "looks", "spent", "stored")

    def __init__(self) -> None:
        self.stored = 0
        self.spent: dict[Cost, int] = {}
        self.looks = 0
        self.began = thread_time()

    def restart(self) -> None:
        """Begin another pass over the same files."""
        self.spent.clear()
        self.began = thread_time()


@dataclass(frozen=True, slots=True)
class Limits:
    """What parsing and measuring one artifact may cost at most. Sizes are in bytes."""

    nesting: int = 64
    """Structures inside structures: groups, messages, members of archives."""
    archive_nesting: int = 3
    """Archives inside archives."""
    structure_size: int = 256 * MIB
    """One structure that is read into memory whole: a header, a heap, a message."""
    document_size: int = 64 * MIB
    """One JSON document or configuration, and the memory that its values take is at most twice that."""
    decompressed_size: int = 16 * GIB
    """All that one compressed member may decompress to."""
    expansion: int = 1_100
    """Decompressed bytes for each stored byte; deflate cannot exceed 1,032."""
    large_size: int = 256 * MIB
    """What the artifact may decompress to, however small it is; above it, ``large_expansion`` applies too."""
    large_expansion: int = 100
    """Decompressed bytes for each stored byte above ``large_size``; Keras refuses more as well."""
    block_size: int = 64 * MIB
    """One filtered block (an HDF5 chunk, a Snappy block) decoded in memory; h5repack makes chunks of 32
    MiB.
    """
    copied_size: int = 256 * MIB
    """Bytes copied from objects that many places refer to, for the artifact as a whole."""
    node_size: int = 64
    """Stored bytes of a graph node on average, beyond the first 10,000 that are not like another; no writer
    makes smaller ones.
    """
    member_size: int = 64
    """Stored bytes of a file in an archive on average, with its headers, beyond the first 10,000 files."""
    processor_seconds: int = 120
    """Processor time of one pass over the artifact (parsing, measuring); one more second for each MiB of its
    files.
    """
    remote_seconds: int = 60
    """Seconds of a clock for everything that is read from other machines, however slowly it comes."""
    other_hosts: int = 0
    """Redirects to other hosts that are followed for one file; ``--follow`` allows a few."""
    regions: int = 20_000_000
    """Regions of one member."""
    objects: int = 5_000_000
    """Objects of one artifact: groups, datasets, nodes, tables."""
    tensors: int = 2_000_000
    """Tensors of one artifact."""
    diagnostics: int = 200
    """Diagnostics that are kept; the rest are counted."""
    members: int = 200_000
    """Files of a directory or an archive."""
    ledger: Ledger = field(default_factory=Ledger, compare=False, repr=False)
    """What the artifact has cost so far; `fresh` begins a new one."""

    def allow(
        self, what: str, needed: int, allowed: int, member: str = "", offset: int | None = None
    ) -> None:
        """Raise `LimitError` where ``needed`` is above ``allowed``."""
        if needed > allowed:
            raise LimitError(f"{what} needs {needed:,} but the limit is {allowed:,}", member, offset)
        self.look_at_clock(member, offset)

    def look_at_clock(self, member: str, offset: int | None = None) -> None:
        """Raise `LimitError` where the pass has taken too long; the clock is read only now and then."""
        ledger = self.ledger
        ledger.looks += 1
        if ledger.looks % _CLOCK_STRIDE == 0:
            seconds = thread_time() - ledger.began
            if seconds > self.processor_seconds + ledger.stored // MIB:
                raise LimitError(
                    f"the artifact has taken {seconds:,.0f} s of processor time, and the limit is reached",
                    member,
                    offset,
                )

    def spend(self, cost: Cost, amount: int, member: str = "", offset: int | None = None) -> None:
        """Count a cost for the artifact as a whole. Raises `LimitError` where that is above its limit."""
        spent = self.ledger.spent
        total = spent[cost] = spent.get(cost, 0) + amount
        allowed = self._allowed(cost)
        if total > allowed:
            code = Code.EXPANSION if cost in (Cost.DECOMPRESSED, Cost.MEMBERS) else Code.LIMIT
            raise LimitError(
                f"the artifact needs {total:,} {cost} but the limit is {allowed:,}", member, offset, code
            )
        self.look_at_clock(member, offset)

    def _allowed(self, cost: Cost) -> int:
        match cost:
            case Cost.DECOMPRESSED if (
                not self.ledger.stored
            ):  # nobody opened a file: what is compressed has its own limits
                return self.decompressed_size
            case Cost.DECOMPRESSED:
                return max(self.large_size, self.large_expansion * self.ledger.stored)
            case Cost.COPIED:
                return max(self.copied_size, 4 * self.ledger.stored)
            case Cost.NODES:
                return _FIRST_NODES + self.ledger.stored // max(self.node_size, 1)
            case Cost.MEMBERS:
                return min(self.members, _FIRST_MEMBERS + self.ledger.stored // max(self.member_size, 1))

    def fresh(self) -> Self:
        """Return the same limits for another artifact, which has cost nothing yet."""
        return replace(self, ledger=Ledger())


_FIRST_NODES = 10_000
_FIRST_MEMBERS = 10_000
_CLOCK_STRIDE = 256


def limit_names() -> tuple[str, ...]:
    """Return the names of the limits that can be set."""
    return tuple(one.name for one in fields(Limits) if one.name != "ledger")


FOLLOWED = 5
"""Redirects to other hosts that ``--follow`` allows."""


def parse_limits(settings: tuple[str, ...], *, follow: bool = False) -> Limits | None:
    """Return limits with ``NAME=VALUE`` settings applied; sizes may end in KiB, MiB or GiB. None without
    settings.

    ``follow`` allows redirects to other hosts.

    Raises `UsageError` for a name that is not a limit, and for a value that is not a positive whole number.
    """
    if not settings and not follow:
        return None
    values: dict[str, Any] = {"other_hosts": FOLLOWED} if follow else {}
    for setting in settings:
        name, separator, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not separator or name not in limit_names():
            raise UsageError(f"there is no limit {name!r}; the limits are {', '.join(limit_names())}")
        values[name] = parse_size(f"limit {name}", text.strip())
    return replace(Limits(), **values)


def parse_size(name: str, text: str) -> int:
    """Return a whole number above 0, which may end in KiB, MiB or GiB. Raises `UsageError`, which names the
    option ``name``.
    """
    digits = text.replace(",", "").replace("_", "")
    factor = 1
    for unit, size in (("kib", KIB), ("mib", MIB), ("gib", GIB)):
        if digits.lower().endswith(unit):
            digits, factor = digits[: -len(unit)].strip(), size
    if not digits.isascii() or not digits.isdigit() or not 0 < len(digits) <= 18 or not int(digits):
        raise UsageError(f"{name}: {text!r} is not a positive whole number, such as 512 or 64MiB")
    return int(digits) * factor
