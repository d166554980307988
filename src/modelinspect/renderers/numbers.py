"""Numbers as people read them."""

from __future__ import annotations

from typing import assert_never

from modelinspect.reports.blocks import Cell, Unit
from modelinspect.reports.wording import short_size


def cell_text(value: Cell, unit: Unit) -> str:
    """Return a cell as text; nothing is an empty string."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    match unit:
        case Unit.TEXT:
            return str(value)
        case Unit.BYTES | Unit.COUNT:
            return f"{value:,}"
        case Unit.SHARE:
            return share_text(value)
        case Unit.OFFSET:
            return f"{value:,}"
        case Unit.CHANGE:
            return f"{value:+,}" if value else "0"
        case _:
            assert_never(unit)


def share_text(share: float) -> str:
    """Return a share as a percentage; something never reads as nothing, nor a part as the whole."""
    percent = 100 * share
    if 0 < percent < 0.05:
        return "<0.1 %"
    return ">99.9 %" if 99.95 <= percent < 100 else f"{percent:.1f} %"


def size_text(size: int) -> str:
    """Return bytes exactly, with a rounded larger unit after them."""
    exact = f"{size:,} byte{'' if size == 1 else 's'}"
    return f"{exact} ({short_size(size)})" if size >= 1024 else exact
