"""StableHLO programs in an artifact: which tensors are in each, and which of them a program for a gradient
holds again.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.core.bytemap import TensorId
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import Role
from modelinspect.networks.subject import Subject


@dataclass(frozen=True, slots=True)
class Program:
    """A program.

    ``weights`` are its constants that are weights; ``is_gradient`` says that only a gradient runs it.
    """

    function: str
    node: str
    is_gradient: bool
    weights: tuple[TensorId, ...]


def programs(subject: Subject) -> tuple[Program, ...]:
    """Return the programs of an artifact, in its order."""
    facts = subject.artifact.facts
    gradients = frozenset(name for name in facts.get("gradient_functions", ()) if isinstance(name, str))
    found: list[Program] = []
    for entry in facts.get("stablehlo", ()):
        if not isinstance(entry, Mapping):
            continue
        first, count, function, node = (
            entry.get(key) for key in ("first_tensor", "constant_count", "function", "node")
        )
        if (
            isinstance(first, int)
            and isinstance(count, int)
            and isinstance(function, str)
            and isinstance(node, str)
        ):
            ids = (TensorId(index) for index in range(first, first + count))
            weights = tuple(index for index in ids if subject.tensor(index).role is Role.WEIGHT)
            found.append(Program(function, node, function in gradients, weights))
    return tuple(found)


def gradient_copies(subject: Subject) -> dict[TensorId, TensorId]:
    """Return the weights of gradients that a program beside them holds too, each with its equal there.

    Equal means measured: the same element type, shape and digest. Without measurements nothing is known to be
    equal.
    """
    if subject.measurements is None:
        return {}
    kept: dict[tuple[object, ...], TensorId] = {}
    found = subject.once(programs)
    for program in found:
        if not program.is_gradient:
            for index in program.weights:
                kept.setdefault(_elements(subject, index), index)
    copies: dict[TensorId, TensorId] = {}
    for program in found:
        if program.is_gradient:
            for index in program.weights:
                equal = kept.get(_elements(subject, index))
                if equal is not None and subject.measurements[index].digest is not None:
                    copies[index] = equal
    return copies


def _elements(subject: Subject, index: TensorId) -> tuple[object, ...]:
    tensor = subject.tensor(index)
    digest = None if subject.measurements is None else subject.measurements[index].digest
    return tensor.dtype.name, tensor.shape, digest
