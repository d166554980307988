"""All kinds of networks of the fourth set."""

from __future__ import annotations

from benchmarks.accuracy.fourth_applications import FOURTH_APPLICATIONS
from benchmarks.accuracy.fourth_images import FOURTH_IMAGES
from benchmarks.accuracy.fourth_maps import FOURTH_MAPS
from benchmarks.accuracy.fourth_modules import FOURTH_MODULES, MODULES_ONLY
from benchmarks.accuracy.fourth_pictures import FOURTH_PICTURES
from benchmarks.accuracy.fourth_signals import FOURTH_SIGNALS
from benchmarks.accuracy.fourth_tables import FOURTH_TABLES
from benchmarks.accuracy.fourth_texts import FOURTH_TEXTS
from benchmarks.accuracy.third_images import Builder

EXPORTED = frozenset(FOURTH_MODULES)
"""Kinds of which only a SavedModel is saved."""
FOURTH_KINDS: dict[str, tuple[str, Builder]] = {
    **FOURTH_IMAGES,
    **FOURTH_MAPS,
    **FOURTH_PICTURES,
    **FOURTH_SIGNALS,
    **FOURTH_TABLES,
    **FOURTH_TEXTS,
    **FOURTH_APPLICATIONS,
    **FOURTH_MODULES,
}
LOOPS = frozenset(kind for kind, (group, _) in FOURTH_KINDS.items() if group == "recurrent")
"""Kinds with recurrent layers."""
ONLY: dict[str, tuple[int, ...]] = {**MODULES_ONLY, "q-app-next-start": (3,)}
"""The versions of Keras of kinds that not both can make: Keras 2 does not load its own ConvNeXt again."""

__all__ = ["EXPORTED", "FOURTH_KINDS", "LOOPS", "ONLY"]
