"""Put counts and share into sentences."""

from __future__ import annotations


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


def short_size(size: int) -> str:
    """Return a size in the unit that suits it, rounded."""
    if size < 1024:
        return plural(size, "byte")
    power = min(size.bit_length() // 10, len(_UNITS))
    power -= size < 1024**power
    return f"{size / 1024**power:.1f} {_UNITS[power - 1]}"


_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")
