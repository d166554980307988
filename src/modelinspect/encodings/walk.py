"""What encodings work on."""

from __future__ import annotations

from collections.abc import Callable

from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.limits import Limits
from modelinspect.core.records import dataclass
from modelinspect.errors import FormatError
from modelinspect.sources.base import Source

Report = Callable[[FormatError], None]
"""Takes trouble that an encoding survives; its offset counts from the start of the walk's source."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Bytes to read and a map to claim them on; offsets of both count from the start of ``source``."""

    source: Source
    claims: ByteMapBuilder
    limits: Limits
    report: Report
