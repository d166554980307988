"""All kinds of networks of the second set."""

from __future__ import annotations

from benchmarks.accuracy.second_applications import SECOND_APPLICATIONS
from benchmarks.accuracy.second_grammar import SECOND_GRAPHS
from benchmarks.accuracy.second_images import SECOND_IMAGES, Builder
from benchmarks.accuracy.second_modules import SECOND_MODULES
from benchmarks.accuracy.second_sequences import SECOND_SEQUENCES
from benchmarks.accuracy.second_tables import SECOND_TABLES

GRAMMARS: dict[str, tuple[str, Builder]] = SECOND_GRAPHS
"""Kinds that are drawn from a grammar, so each seed is another network."""
EXPORTED = frozenset(SECOND_MODULES)
"""Kinds of which only a SavedModel is saved."""
SECOND_KINDS: dict[str, tuple[str, Builder]] = {
    **SECOND_IMAGES,
    **SECOND_SEQUENCES,
    **SECOND_TABLES,
    **SECOND_APPLICATIONS,
    **SECOND_MODULES,
    **GRAMMARS,
}
LOOPS = frozenset(kind for kind, (group, _) in SECOND_KINDS.items() if group == "recurrent")
"""Kinds with recurrent layers."""
