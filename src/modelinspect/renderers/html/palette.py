"""How a page shows the categories: a colour for light and for dark pages and, where it matters most, a
pattern.
"""

from __future__ import annotations

from modelinspect.reports.categories import CATEGORIES, Category

_COLORS: dict[Category, tuple[str, str]] = {
    Category.GRAPH: ("#2f9e62", "#43b87a"),
    Category.METADATA: ("#9aa82f", "#b7c24a"),
    Category.DENSE_WEIGHTS: ("#2f6fde", "#4f8bf0"),
    Category.ZERO_WEIGHTS: ("#8fb4f2", "#7f9fd8"),
    Category.COMPRESSED_WEIGHTS: ("#7659d6", "#9a82ee"),
    Category.SPARSE_VALUES: ("#0f8f9c", "#2fb3bf"),
    Category.SPARSE_INDEX: ("#6cc4c4", "#8adada"),
    Category.QUANTIZATION: ("#d19a10", "#e6b53a"),
    Category.OPTIMIZER_STATE: ("#e2703a", "#f08a58"),
    Category.PRUNING_STATE: ("#c2407f", "#de6aa2"),
    Category.COMPILED: ("#4a4fa3", "#7b80d6"),
    Category.ASSETS: ("#a9716f", "#c79290"),
    Category.DEBUG: ("#8f6f4e", "#b08f6c"),
    Category.CONTAINER: ("#707a8a", "#8d98a9"),
    Category.FREE: ("#c3cad4", "#4b5666"),
    Category.UNATTRIBUTED: ("#d62839", "#ff5d6c"),
}
_PATTERNS: dict[Category, str] = {Category.ZERO_WEIGHTS: "/", Category.FREE: ".", Category.UNATTRIBUTED: "x"}
"""Hatched, dotted, crossed."""


def palette() -> list[dict[str, str]]:
    """Return name, meaning, colours and pattern of every category, at the place that its code names."""
    return [
        {
            "name": str(category),
            "meaning": category.meaning,
            "light": _COLORS[category][0],
            "dark": _COLORS[category][1],
            "pattern": _PATTERNS.get(category, ""),
        }
        for category in CATEGORIES
    ]
