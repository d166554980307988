"""Choose the kernels to prune, each with its target, and give a reason for each that is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from math import prod
from typing import Any

from modelinspect.core.records import dataclass
from modelinspect.pruning.errors import JobError
from modelinspect.pruning.magnitude.kernels import Kernel, Unit
from modelinspect.pruning.selection import LAYOUTS, Pattern

Rule = str | type | Callable[[Any, Any], bool]
"""Which kernels: a pattern of names (``dense*``, ``attention/query/kernel``), a layer class, or a function of
layer and variable.
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """Which kernels a user wants pruned, and how sparse.

    ``targets`` override ``sparsity``, the first that matches counts.
    """

    sparsity: float
    targets: tuple[tuple[Rule, float], ...] = ()
    include: tuple[Rule, ...] = ()
    exclude: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """A kernel and what is done to it: pruned to ``target``, or left out for ``reason``.

    ``note`` is what its user should know.
    """

    kernel: Kernel
    target: float
    reason: str = ""
    note: str = ""

    @property
    def chosen(self) -> bool:
        """Return whether the kernel is pruned."""
        return not self.reason


def wish_of(
    sparsity: float,
    targets: Mapping[Any, float] | None,
    include: Rule | Sequence[Rule] | None,
    exclude: Rule | Sequence[Rule] | None,
) -> Wish:
    """Return the wish of a call's arguments. Raises `JobError`."""
    wanted = tuple((targets or {}).items())
    for value in (sparsity, *(target for _, target in wanted)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value < 1.0:
            raise JobError(f"the sparsity must be at least 0 and below 1, not {value!r}")
    wish = Wish(
        float(sparsity),
        tuple((rule, float(target)) for rule, target in wanted),
        _rules(include),
        _rules(exclude),
    )
    for rule in (*wish.include, *wish.exclude, *(rule for rule, _ in wish.targets)):
        if not isinstance(rule, (str, type)) and not callable(rule):
            raise JobError(
                f"include, exclude and targets take names, layer classes and functions, not {rule!r}"
            )
    return wish


def choose(units: Sequence[Unit], wish: Wish, pattern: Pattern) -> tuple[Choice, ...]:
    """Decide for each kernel.

    Raises `JobError` where a name or class matches nothing, or nothing is left to prune.
    """
    for rule in (*wish.include, *wish.exclude, *(rule for rule, _ in wish.targets)):
        _check_rule(rule, units)
    choices = choices_of(units, wish, pattern)
    _check_asked(choices, wish)
    if not any(choice.chosen for choice in choices):
        reasons = list(dict.fromkeys(f"{choice.kernel.path}: {choice.reason}" for choice in choices))
        raise JobError(
            f"nothing to prune: {'; '.join(reasons[:3]) or 'no layer has a kernel that can be pruned'}"
        )
    return choices


def choices_of(units: Sequence[Unit], wish: Wish, pattern: Pattern) -> tuple[Choice, ...]:
    """Decide for each kernel, also where nothing is left to prune."""
    return tuple(_decide(kernel, wish, pattern) for unit in units for kernel in unit.kernels)


def _check_asked(choices: Sequence[Choice], wish: Wish) -> None:
    """Refuse a layer that was asked for by its name, and of which no kernel can be pruned."""
    possible = {choice.kernel.layer for choice in choices if choice.chosen or _excluded(choice.kernel, wish)}
    for choice in choices:
        if choice.kernel.layer in wish.include and choice.kernel.layer not in possible:
            raise JobError(f"layer {choice.kernel.layer!r} cannot be pruned: {choice.reason}")


def _decide(kernel: Kernel, wish: Wish, pattern: Pattern) -> Choice:
    target = next((share for rule, share in wish.targets if _matches(rule, kernel)), wish.sparsity)
    named = any(isinstance(rule, str) and _matches(rule, kernel) for rule in wish.include)
    if wish.include and not any(_matches(rule, kernel) for rule in wish.include):
        return Choice(kernel, target, "no include rule matches")
    if _excluded(kernel, wish):
        return Choice(kernel, target, "an exclude rule matches")
    if kernel.refusal and (kernel.known or not named):
        return Choice(kernel, target, kernel.refusal)
    if not target and not pattern.m_by_n:
        return Choice(kernel, target, "its target is 0")
    if refused := _refuses(kernel, pattern):
        return Choice(kernel, target, refused)
    if pattern.m_by_n:
        target = pattern.m_by_n[0] / pattern.m_by_n[1]
    return Choice(kernel, target, note=_note(kernel, pattern))


def _excluded(kernel: Kernel, wish: Wish) -> bool:
    return any(_matches(rule, kernel) for rule in wish.exclude)


def _refuses(kernel: Kernel, pattern: Pattern) -> str:
    """Say why a kernel cannot have the pattern; empty where it can."""
    if pattern.layout or pattern.m_by_n:
        if pattern.layout and kernel.weight.endswith("embeddings"):
            return "TFLite looks embeddings up in a dense table, so blocks gain nothing there"
        if pattern.m_by_n and _input_count(kernel) <= pattern.m_by_n[1] - pattern.m_by_n[0]:
            return f"its {_input_count(kernel)} inputs are too few for groups of {pattern.m_by_n[1]}"
        return ""
    if pattern.block_size != (1, 1) and len(kernel.shape) != 2:
        return (
            f"it has {len(kernel.shape)} dimensions, and blocks take 2; a layout ({', '.join(LAYOUTS)})"
            " takes any"
        )
    return ""


def _note(kernel: Kernel, pattern: Pattern) -> str:
    length = LAYOUTS[pattern.layout] if pattern.layout else pattern.m_by_n[1] if pattern.m_by_n else 0
    inputs = _input_count(kernel)
    if not length or not inputs % length:
        return ""
    if pattern.m_by_n:
        return f"its {inputs} inputs are not a multiple of {length}: the last group of each output is shorter"
    return (
        f"its {inputs} inputs are not a multiple of {length}: TFLite's converter drops the weights after the"
        " last whole block"
    )


def _input_count(kernel: Kernel) -> int:
    return prod(kernel.shape[axis] for axis in kernel.inputs)


def _matches(rule: Rule, kernel: Kernel) -> bool:
    if isinstance(rule, str):
        return fnmatchcase(kernel.layer, rule) or fnmatchcase(kernel.path, rule)
    if isinstance(rule, type):
        return isinstance(kernel.owner, rule) or kernel.type == rule.__name__
    return bool(rule(kernel.owner, kernel.variable))


def _check_rule(rule: Rule, units: Sequence[Unit]) -> None:
    """Refuse a name or class that matches no layer: it is a mistake, and nothing would say so later."""
    kernels = [kernel for unit in units for kernel in unit.kernels]
    names = [unit.name for unit in units]
    if isinstance(rule, str):
        if not any(fnmatchcase(name, rule) for name in (*names, *(kernel.path for kernel in kernels))):
            near = get_close_matches(rule, names, n=3) or names[:8]
            raise JobError(
                f"no layer matches {rule!r}; there are"
                f" {', '.join(near)}{', …' if len(near) < len(names) else ''}"
            )
    elif isinstance(rule, type):
        types = sorted({unit.type for unit in units} | {type(kernel.owner).__name__ for kernel in kernels})
        if rule.__name__ not in types and not any(_matches(rule, kernel) for kernel in kernels):
            raise JobError(f"no layer has the type {rule.__name__}; there are {', '.join(types)}")


def _rules(rules: Rule | Sequence[Rule] | None) -> tuple[Rule, ...]:
    if rules is None:
        return ()
    if isinstance(rules, Sequence) and not isinstance(rules, str):
        return tuple(rules)
    return (rules,)
