"""Suggest the known word that somebody may have meant."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return ``; did you mean X?`` for the known word that is closest to one that is not, or nothing where
    none is close.

    ``cutoff`` is how alike they must be, from 0 to 1.
    """
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), 1, cutoff)
    return f"; did you mean {close[0]}?" if close else ""
