"""Show the sections of a LiteRT-LM file, as its facts list them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelinspect.reports.blocks import Cell, Column, Table, Unit

_COLUMNS = (
    Column("section", "section"),
    Column("model", "model", quiet=True),
    Column("offset", "offset", Unit.OFFSET, rank=3),
    Column("size", "bytes", Unit.BYTES),
    Column("share", "share", Unit.SHARE, rank=2),
    Column("weights", "weights", Unit.COUNT, quiet=True),
    Column("bits_per_weight", "bits each", rank=1),
)


def section_table(facts: Mapping[str, Any], size: int) -> Table | None:
    """Return the table of sections; None where the artifact has none.

    ``bits each`` counts a model's scales and zero points too.
    """
    sections = facts.get("sections")
    if not isinstance(sections, list | tuple) or not sections:
        return None
    return Table(
        "Sections", _COLUMNS, [_row(section, size) for section in sections if isinstance(section, Mapping)]
    )


def _row(section: Mapping[str, Any], size: int) -> tuple[Cell, ...]:
    bits = section.get("bits_per_weight")
    own = section.get("size", 0)
    return (
        section.get("type", ""),
        section.get("model") or "-",
        section.get("offset"),
        own,
        own / size if size else 0.0,
        section.get("weights") or None,
        f"{bits:.2f}" if isinstance(bits, int | float) else "-",
    )
