"""Build the float TFLite model that a SavedModel's signature converts to, from its graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from modelinspect.conversion.graph.certain import doubt, is_certain
from modelinspect.conversion.graph.constants import read_constant
from modelinspect.conversion.graph.lowering import Lowering, unmark
from modelinspect.conversion.graph.node import KINDS, Held, Item, UnknownNodeError
from modelinspect.conversion.graph.patterns import Found, keep_dimensions, patterns
from modelinspect.conversion.graph.reader import Given, Ref, SavedGraph, Step, read_graph
from modelinspect.conversion.keras.source import (
    OTHER_VERSION,
    Source,
    elements_by_buffer,
    kept_by_buffer,
    keras_source,
)
from modelinspect.conversion.network import Network, Value
from modelinspect.conversion.passes.emit import emit
from modelinspect.conversion.passes.fuse import fuse
from modelinspect.conversion.passes.unused import drop_unused
from modelinspect.conversion.releases import NEWEST, Release
from modelinspect.conversion.tree import Node as Tree
from modelinspect.core.records import dataclass, field, replace
from modelinspect.core.tensors import Tensor
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.networks.subject import Subject
from modelinspect.networks.writers import is_of_tested_version

_GUESSED = 100_000
"""Bytes that the structure of a graph may have more or less where an operation of it is not known, and layers
are guessed.
"""


def saved_source(subject: Subject, release: Release = NEWEST) -> Source:
    """Return what the converter would make of a SavedModel: by its graph, else by its layers' configuration.

    Raises `FormatError`, `UnmeasurableError`.
    """
    try:
        return signature_source(subject, release)
    except (FormatError, UnmeasurableError) as error:
        try:
            source = keras_source(subject, release)
        except (FormatError, UnmeasurableError):
            raise error from None
        if source.has_structure and not source.unknown:
            return source
        return replace(source, reason=str(error), doubt=max(source.doubt, _GUESSED))


def signature_source(subject: Subject, release: Release = NEWEST) -> Source:
    """Return the model that the converter would make. Raises `FormatError`, `UnmeasurableError`."""
    graph = read_graph(subject)
    with np.errstate(all="ignore"):  # variables can be anything
        lowering = Lowering(Network(), subject.reading)
        tensors = {tensor.path: tensor for tensor in subject.artifact.tensors}
        network = _Graph(subject, tensors, lowering).run(graph)
        certain, unsure = is_certain(lowering.operations, network), doubt(network)
        if release is not NEWEST and "Mul" in lowering.operations:
            certain, unsure = False, unsure + OTHER_VERSION
        if not is_of_tested_version(subject.artifact):
            certain, unsure = False, unsure + OTHER_VERSION
        drop_unused(network)
        keep_dimensions(network)
        fuse(network)
    unmark(network)
    root, constants = emit(network, "", release)
    _name(root, graph)
    return Source(
        root,
        kept_by_buffer(subject, constants),
        (),
        True,
        unsure,
        0,
        elements_by_buffer(subject, constants),
        certain,
    )


def _name(root: Tree, graph: SavedGraph) -> None:
    """Give inputs, outputs and the signature the names that the SavedModel has for them."""
    subgraph = root.lists["subgraphs"][0]
    tensors = subgraph.lists["tensors"]
    for index, (_, given) in zip(subgraph.vector("inputs").values, graph.inputs, strict=True):
        tensors[index].set(name=given.name.encode())
    for index, (_, name, _) in zip(subgraph.vector("outputs").values, graph.outputs, strict=True):
        tensors[index].set(name=name.encode())
    root.lists["signature_defs"][0].set(signature_key=graph.key.encode())


_PLACES = {"values:0": "0", "indices:0": "1"}
"""Where outputs are that functions do not number: those of TopKV2."""


@dataclass(slots=True)
class _Graph:
    subject: Subject
    tensors: Mapping[str, Tensor]
    lowering: Lowering
    made: dict[int, Item] = field(default_factory=dict)

    @property
    def network(self) -> Network:
        """The network that grows."""
        return self.lowering.network

    def run(self, graph: SavedGraph) -> Network:
        for name, given in graph.inputs:
            shape = given.shape
            if shape is None or any(length < 0 for length in shape[1:]) or given.dtype not in KINDS:
                raise UnmeasurableError(
                    f"its input {name} is of another type, or of lengths that are not known"
                )
            taken = Value(shape, (given.name,), KINDS[given.dtype])
            self.made[id(given)] = taken
            self.network.inputs.append((name, taken))
        found = patterns(graph.steps)
        for step in graph.steps:
            if id(step) in found.parts:
                continue
            try:
                self.made[id(step)] = self._step(step, found.wholes.get(id(step)))
            except (
                UnknownNodeError,
                ArithmeticError,
                LookupError,
                TypeError,
                ValueError,
            ) as error:  # graphs can say anything
                reason = str(error) if isinstance(error, UnknownNodeError) else "invalid attributes"
                raise UnmeasurableError(
                    f"not known how {step.op} converts at {step.name}: {reason}"
                ) from error
        for name, _, ref in graph.outputs:
            try:
                value = self._taken(ref)
            except (UnknownNodeError, LookupError) as error:
                reason = str(error) if isinstance(error, UnknownNodeError) else "it leads nowhere"
                raise UnmeasurableError(f"not known what its output {name} is: {reason}") from error
            if not isinstance(value, Value) or any(
                value is other for _, other in (*self.network.outputs, *self.network.inputs)
            ):
                raise UnmeasurableError(f"its output {name} is computed nowhere, or defined twice")
            self.network.outputs.append((name, value))
        self.lowering.written += [
            item for item in self.made.values() if isinstance(item, Held) and item.is_written
        ]
        self.lowering.forget_shared()
        return self.network

    def _taken(self, ref: Ref) -> Item:
        if isinstance(ref.node, Given) and id(ref.node) not in self.made:
            raise UnknownNodeError("takes a variable itself")
        made = self.made[id(ref.node)]
        if ref.output == "0":
            return made
        maker = self.lowering.makers.get(id(made))
        place = _PLACES.get(ref.output, ref.output)
        if maker is None or maker.output is not made or not place.isdecimal():
            raise UnknownNodeError(f"takes the output {ref.output} of another")
        return maker.outputs[int(place)]

    def _step(self, step: Step, whole: Found | None) -> Item:
        if step.op == "Const":
            return self._constant(step)
        if whole is not None:
            return self.lowering.whole(whole, step, [self._taken(ref) for ref in whole.taken])
        if (
            step.op in ("ReadVariableOp", "ResourceGather")
            and step.inputs
            and isinstance(step.inputs[0].node, Given)
        ):
            held = self._variable(step, step.inputs[0].node)
            if step.op == "ReadVariableOp":
                return held
            inputs: list[Item] = [held, *(self._taken(ref) for ref in step.inputs[1:])]
        else:
            inputs = [self._taken(ref) for ref in step.inputs]
        return self.lowering.lower(step, inputs)

    def _constant(self, step: Step) -> Held:
        kind, shape, elements = read_constant(step.attributes["value"].tensor)
        self.lowering.budget.spend(0 if elements is None else elements.size)
        tensor = self.tensors.get(step.scope + step.name)
        if tensor is not None and tensor.shape != shape:
            tensor = None
        return Held(
            shape, kind, (step.location,), tensor, elements, is_written=True, budget=self.lowering.budget
        )

    def _variable(self, step: Step, given: Given) -> Held:
        tensor = self.tensors.get(given.variable)
        if tensor is None or tensor.shape != given.shape or given.dtype not in KINDS:
            raise UnknownNodeError(f"a variable that is not found, {given.name}")
        return Held(tensor.shape, KINDS[given.dtype], (step.location,), tensor, budget=self.lowering.budget)
