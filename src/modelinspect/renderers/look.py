"""What an output can show: width, colour, characters."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.core.records import dataclass, field

NARROWEST = 40
USUAL = 80


@dataclass(frozen=True, slots=True)
class Look:
    """What the place where a report is drawn can show.

    ``top`` is how many rows long tables show, None as many as is usual.

    ``command`` is the command line that made the report, empty where Python did. ``links`` are addresses of
    pages by the location of the model that each shows: a page links the locations of its tables.
    """

    width: int = USUAL
    color: bool = False
    unicode: bool = True
    top: int | None = None
    command: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
