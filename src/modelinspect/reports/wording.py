"""Put counts and share into sentences."""

from __future__ import annotations

from collections.abc import Sequence


def percent(part: int, whole: int) -> str:
    """Return a share as a percentage that never rounds something to nothing or a part to the whole."""
    if not whole:
        return "0.0 %"
    share = 100 * part / whole
    if part and share < 0.05:
        return "less than 0.1 %"
    return "more than 99.9 %" if part != whole and share > 99.95 else f"{share:.1f} %"


def plural(count: int, noun: str, several: str = "") -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return ``; did you mean X?`` for the known word that is closest to one that is not, or nothing where none is close."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, 1)
    return f"; did you mean {close[0]}?" if close else ""


_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def short_size(size: int) -> str:
    """Return a size in the unit that suits it, rounded."""
    if size < 1024:
        return plural(size, "byte")
    power = min(size.bit_length() // 10, len(_UNITS))
    power -= size < 1024**power
    return f"{size / 1024**power:.1f} {_UNITS[power - 1]}"
