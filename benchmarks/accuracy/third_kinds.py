"""All kinds of networks of the third set."""

from __future__ import annotations

from benchmarks.accuracy.third_images import THIRD_IMAGES, Builder
from benchmarks.accuracy.third_maps import THIRD_MAPS
from benchmarks.accuracy.third_sequences import THIRD_SEQUENCES
from benchmarks.accuracy.third_tables import THIRD_TABLES

THIRD_GRAPHS: dict[str, tuple[str, Builder]] = {}
THIRD_MODULES: dict[str, tuple[str, Builder]] = {}
GRAMMARS: dict[str, tuple[str, Builder]] = THIRD_GRAPHS
"""Kinds that are drawn from a grammar, so each seed is another network."""
EXPORTED = frozenset(THIRD_MODULES)
"""Kinds of which only a SavedModel is saved."""
THIRD_KINDS: dict[str, tuple[str, Builder]] = {
    **THIRD_IMAGES,
    **THIRD_MAPS,
    **THIRD_SEQUENCES,
    **THIRD_TABLES,
    **THIRD_MODULES,
    **GRAMMARS,
}
LOOPS = frozenset(kind for kind, (group, _) in THIRD_KINDS.items() if group == "recurrent")
"""Kinds with recurrent layers."""
ONLY: dict[str, tuple[int, ...]] = {}
"""Kinds that are drawn with one version of Keras only."""
