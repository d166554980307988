"""All kinds of networks of the third set."""

from __future__ import annotations

from benchmarks.accuracy.third_applications import THIRD_APPLICATIONS
from benchmarks.accuracy.third_grammar import THIRD_GRAPHS
from benchmarks.accuracy.third_images import THIRD_IMAGES, Builder
from benchmarks.accuracy.third_maps import THIRD_MAPS
from benchmarks.accuracy.third_modules import ONLY, THIRD_MODULES
from benchmarks.accuracy.third_operations import THIRD_OPERATIONS
from benchmarks.accuracy.third_pictures import THIRD_PICTURES
from benchmarks.accuracy.third_sequences import THIRD_SEQUENCES
from benchmarks.accuracy.third_tables import THIRD_TABLES

GRAMMARS: dict[str, tuple[str, Builder]] = THIRD_GRAPHS
"""Kinds that are drawn from a grammar, so each seed is another network."""
EXPORTED = frozenset(THIRD_MODULES)
"""Kinds of which only a SavedModel is saved."""
THIRD_KINDS: dict[str, tuple[str, Builder]] = {
    **THIRD_IMAGES,
    **THIRD_PICTURES,
    **THIRD_MAPS,
    **THIRD_SEQUENCES,
    **THIRD_TABLES,
    **THIRD_APPLICATIONS,
    **THIRD_OPERATIONS,
    **THIRD_MODULES,
    **GRAMMARS,
}
LOOPS = frozenset(kind for kind, (group, _) in THIRD_KINDS.items() if group == "recurrent")
"""Kinds with recurrent layers."""

__all__ = ["EXPORTED", "GRAMMARS", "LOOPS", "ONLY", "THIRD_KINDS"]
