"""Choose the layers to prune, and say for each layer that is left out why; read the arguments of a pattern as
a user writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from msgspec import Struct

from modelinspect.pruning.errors import JobError


class WeightFacts(Struct, frozen=True):
    """A weight that tfmot would prune."""

    name: str
    shape: tuple[int, ...]


class LayerFacts(Struct, frozen=True):
    """What choosing needs to know of a layer.

    ``name`` holds the names of the models around it, ``outer/inner/dense``; ``refusal`` says why its engine
    cannot prune it.
    """

    name: str
    type: str
    supported: bool
    weights: tuple[WeightFacts, ...] = ()
    refusal: str = ""


class Selection(Struct, frozen=True):
    """Patterns (``*``, ``?``, ``[...]``) of layer names and layer types; empty chooses all."""

    layers: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


class Pattern(Struct, frozen=True):
    """How zeros are arranged: single elements, blocks of ``block_size``, or ``m`` zeros in every ``n``
    elements.

    ``block_size`` is height x width of a Keras matrix (inputs x outputs). A ``layout`` names blocks of
    consecutive inputs as TFLite stores them; ``block_size`` is then its form for a matrix.
    """

    block_size: tuple[int, int] = (1, 1)
    pooling: str = "AVG"
    m_by_n: tuple[int, int] | None = None
    layout: str = ""

    def refuses(self, shape: tuple[int, ...]) -> str:
        """Say why a weight of that shape cannot have the pattern; empty where it can."""
        if self.m_by_n and len(shape) not in (2, 4):
            return f"has a weight with {len(shape)} dimensions, and M by N sparsity takes 2 or 4"
        if self.block_size != (1, 1) and len(shape) != 2:
            return f"has a weight with {len(shape)} dimensions, and blocks take 2"
        return ""


class Decision(Struct, frozen=True):
    """Whether a layer is pruned, and why not."""

    layer: LayerFacts
    chosen: bool
    reason: str = ""


def validate_pattern(pattern: Pattern) -> None:
    """Raise `JobError` for a pattern that tfmot refuses."""
    if min(pattern.block_size) < 1:
        raise JobError(f"a block must be at least 1x1, not {pattern.block_size[0]}x{pattern.block_size[1]}")
    if pattern.pooling not in ("AVG", "MAX"):
        raise JobError(f"the pooling must be AVG or MAX, not {pattern.pooling}")
    if pattern.m_by_n is None:
        return
    zeros, group = pattern.m_by_n
    if not 1 <= zeros < group:
        raise JobError(f"M by N sparsity needs 1 <= M < N, not {zeros}x{group}")
    if pattern.block_size != (1, 1):
        raise JobError("M by N sparsity and blocks exclude each other")


def select(layers: Sequence[LayerFacts], selection: Selection, pattern: Pattern) -> tuple[Decision, ...]:
    """Decide for each layer; raises `JobError` where a name or type is unknown, unsupported, or nothing is
    left to prune.
    """
    _check_names(layers, (*selection.layers, *selection.exclude))
    _check_types(layers, selection.types)
    decisions = tuple(_decide(layer, selection, pattern) for layer in layers)
    _check_wanted(decisions, selection)
    if not any(decision.chosen for decision in decisions):
        raise JobError(f"nothing to prune: {_first_reasons(decisions)}")
    return decisions


def _decide(layer: LayerFacts, selection: Selection, pattern: Pattern) -> Decision:
    reasons = (
        _left_out(layer, selection),
        layer.refusal,
        (
            ""
            if layer.supported
            else f"tfmot does not know {layer.type} (it would need a get_prunable_weights method)"
        ),
        "" if layer.weights else f"{layer.type} has no weights that tfmot prunes",
        next((reason for weight in layer.weights if (reason := pattern.refuses(weight.shape))), ""),
    )
    reason = next((text for text in reasons if text), "")
    return Decision(layer, not reason, reason)


def _left_out(layer: LayerFacts, selection: Selection) -> str:
    if selection.layers and not _matches(layer, selection.layers):
        return f"no --layers pattern matches ({', '.join(selection.layers)})"
    if selection.types and layer.type not in selection.types:
        return f"its type is {layer.type}, and --types asks for {', '.join(selection.types)}"
    if selection.exclude and _matches(layer, selection.exclude):
        return f"an --exclude pattern matches ({', '.join(selection.exclude)})"
    return ""


def _matches(layer: LayerFacts, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(layer.name, pattern) for pattern in patterns)


def _check_names(layers: Sequence[LayerFacts], patterns: Sequence[str]) -> None:
    for pattern in patterns:
        if not any(fnmatchcase(layer.name, pattern) for layer in layers):
            names = [layer.name for layer in layers]
            near = get_close_matches(pattern, names, n=3) or names[:8]
            raise JobError(
                f"no layer matches {pattern!r}; there are"
                f" {', '.join(near)}{', …' if len(near) < len(names) else ''}"
            )


def _check_types(layers: Sequence[LayerFacts], types: Sequence[str]) -> None:
    known = sorted({layer.type for layer in layers})
    for wanted in types:
        if wanted not in known:
            raise JobError(f"no layer has the type {wanted!r}; there are {', '.join(known)}")


def _check_wanted(decisions: Sequence[Decision], selection: Selection) -> None:
    """Refuse a layer that was asked for by its name or type and cannot be pruned."""
    for decision in decisions:
        asked = decision.layer.name in selection.layers or decision.layer.type in selection.types
        if asked and not decision.chosen and not _left_out(decision.layer, selection):
            raise JobError(f"layer {decision.layer.name!r} cannot be pruned: {decision.reason}")


def _first_reasons(decisions: Sequence[Decision]) -> str:
    reasons = dict.fromkeys(f"{decision.layer.name}: {decision.reason}" for decision in decisions)
    listed = list(reasons)[:3]
    return (
        "; ".join(listed) + ("; …" if len(reasons) > len(listed) else "")
        if listed
        else "the model has no layers"
    )


LAYOUTS: dict[str, int] = {"tflite-float": 4, "tflite-int8": 16}
"""Consecutive inputs of one output that TFLite's sparse kernels read together: blocks of 1x4 (float32) and
1x16 (int8).

TFLite stores the matrix of a fully connected layer as outputs x inputs, and Keras as inputs x outputs.
"""


def pattern_of(
    block_size: str | Sequence[int],
    pooling: str,
    m_by_n: str | Sequence[int] | None,
    names: tuple[str, str] = ("block_size", "m_by_n"),
) -> Pattern:
    """Return the pattern of a block size (``(height, width)`` of the Keras kernel, ``"16x1"`` or a layout's
    name).

    Raises `JobError`, which calls the two arguments by ``names``.
    """
    layout = block_size if isinstance(block_size, str) and block_size in LAYOUTS else ""
    blocks = (
        (LAYOUTS[layout], 1)
        if layout
        else _pair(block_size, names[0], f" or a layout ({', '.join(LAYOUTS)})")
    )
    pattern = Pattern(blocks, pooling.upper(), None if m_by_n is None else _pair(m_by_n, names[1]), layout)
    validate_pattern(pattern)
    return pattern


def describe(pattern: Pattern) -> str:
    """Return a few words for a pattern, such as ``1x16 as TFLite stores``."""
    if pattern.m_by_n:
        return f"{pattern.m_by_n[0]} of {pattern.m_by_n[1]}"
    if pattern.layout:
        return f"1x{LAYOUTS[pattern.layout]} as TFLite stores"
    height, width = pattern.block_size
    return "single weights" if (height, width) == (1, 1) else f"{height}x{width}"


def _pair(value: str | Sequence[int], name: str, alternative: str = "") -> tuple[int, int]:
    """Return two whole numbers of ``"16x1"`` or ``(16, 1)``."""
    parts: list[object] = list(value.lower().split("x")) if isinstance(value, str) else list(value)
    numbers = [
        int(part) for part in parts if isinstance(part, int) or (isinstance(part, str) and part.isdecimal())
    ]
    if len(numbers) != 2 or len(parts) != 2:
        raise JobError(f"{name} takes two numbers such as 16x1{alternative}, not {value!r}")
    return numbers[0], numbers[1]
