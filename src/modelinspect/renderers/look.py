"""What an output can show: width, colour, characters."""

from __future__ import annotations

from dataclasses import dataclass

NARROWEST = 40
USUAL = 80


@dataclass(frozen=True, slots=True)
class Look:
    """What the place where a report is drawn can show. ``top`` is how many rows long tables show, None as many as is usual.

    ``command`` is the command line that made the report, empty where Python did.
    """

    width: int = USUAL
    color: bool = False
    unicode: bool = True
    top: int | None = None
    command: str = ""
