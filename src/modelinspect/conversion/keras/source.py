"""Build the float TFLite model that a Keras artifact converts to, from its configuration and its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelinspect.conversion.forms.elements import Elements, elements_of
from modelinspect.conversion.graph.certain import is_certain
from modelinspect.conversion.graph.lowering import Lowering, unmark
from modelinspect.conversion.graph.patterns import keep_dimensions
from modelinspect.conversion.keras.model import Flow
from modelinspect.conversion.keras.recurrent import needs_batch
from modelinspect.conversion.network import Constant, Network, Op
from modelinspect.conversion.passes.emit import emit
from modelinspect.conversion.passes.fuse import fuse
from modelinspect.conversion.passes.imported import in_imported_order
from modelinspect.conversion.passes.unused import drop_unused
from modelinspect.conversion.releases import NEWEST, ConstantNames, Release
from modelinspect.conversion.tree import Node
from modelinspect.core.artifact import FormatName
from modelinspect.core.records import dataclass, field
from modelinspect.errors import FormatError
from modelinspect.formats.keras.config import LayerConfig, computing_policy
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.measure.kept import Kept, measure_kept
from modelinspect.networks.keras_variables import Parameter, items, parameters, read_model
from modelinspect.networks.subject import Subject
from modelinspect.networks.writers import is_of_tested_version
from modelinspect.remedies import Helpers, helpers_of

UNKNOWN_LAYER, GUESSED_LAYER = 8_000, 1_500
"""Bytes of structure that one layer may have more or less: of a layer that is not known, and where all layers
are guessed.
"""
OTHER_VERSION = 256
"""Bytes that another version of Keras may have more or less in names: files of Keras 2.2 were off by up to
176.
"""


@dataclass(frozen=True, slots=True)
class Source:
    """A float model to predict from: its tree, what is kept of its kernels, and the layers that nothing is
    known of.

    ``elements`` gives those of its constants. ``doubt`` is how many bytes of structure may be missing or too
    many, ``guessed`` how many bytes of weights may be stored otherwise; ``certain`` means that its size is
    known to the byte.
    """

    root: Node
    kept: Mapping[int, Kept]
    unknown: tuple[str, ...]
    has_structure: bool
    doubt: int = 0
    guessed: int = 0
    elements: Mapping[int, Elements] = field(default_factory=dict)
    certain: bool = False
    reason: str = ""
    """Why it is not known, where that is another reason than the unknown layers."""
    fixes_batch: bool = False
    """Whether the converter is given a batch of one, without which it would refuse."""


def keras_source(subject: Subject, release: Release = NEWEST) -> Source:
    """Return the model that the converter would make. Raises `FormatError`, `UnmeasurableError`."""
    model = read_model(subject.artifact, subject.reading)
    variables = parameters(subject.artifact, subject.reading, model)
    if not variables:
        raise UnmeasurableError("it holds no weights of layers")
    if model is None or not _has_shape(model):
        return _guess(subject, variables, release)
    _refuse(subject, model)
    keras = 3 if str(subject.artifact.facts.get("keras_version", "")).startswith("3") else 2
    fixes_batch = subject.artifact.format is not FormatName.SAVED_MODEL and needs_batch(model)
    lowering = Lowering(Network(), subject.reading)
    flow = Flow(keras, variables, lowering, batch=1 if fixes_batch else -1)
    with np.errstate(all="ignore"):  # variables can be anything
        network = flow.run(model)
        if not network.ops or not network.outputs:
            raise UnmeasurableError(
                f"conversion of these is not known: {', '.join(flow.unknown[:3])}"
                if flow.unknown
                else "its layers pass on more than one tensor each, or are connected in a way that is not"
                " predicted"
            )
        is_tested = is_of_tested_version(subject.artifact)
        certain = is_tested and is_certain(lowering.operations, network, has_layers=True)
        certain = certain and (release is NEWEST or "Mul" not in lowering.operations)
        if release.constants is ConstantNames.USERS:
            network.ops = [each for each in in_imported_order(network) if isinstance(each, Op)]
        drop_unused(network)
        keep_dimensions(network)
        fuse(network)
    unmark(network)
    caller = "StatefulPartitionedCall" if keras == 2 else "StatefulPartitionedCall_1"
    root, constants = emit(network, caller, release)
    kept = kept_by_buffer(subject, constants)
    doubt = UNKNOWN_LAYER * len(flow.unknown) + (0 if is_tested else OTHER_VERSION)
    doubt += 0 if release is NEWEST or "Mul" not in lowering.operations else OTHER_VERSION
    elements = elements_by_buffer(subject, constants)
    return Source(
        root, kept, tuple(flow.unknown), True, doubt, flow.guessed, elements, certain, fixes_batch=fixes_batch
    )


def _refuse(subject: Subject, model: LayerConfig) -> None:
    """Raise `UnmeasurableError` for models that the converter refuses, or whose layers it is not known to
    convert.
    """
    match helpers_of(subject.artifact):
        case Helpers.CLUSTERING:
            raise UnmeasurableError(
                "it is wrapped for clustering; strip_clustering leaves what can be converted"
            )
        case Helpers.QUANTIZATION:
            raise UnmeasurableError("it was trained quantization-aware, and its ranges become scales of int8")
    for layer in model.walk():
        policy = computing_policy(layer)
        if "_from_" in policy:
            raise UnmeasurableError(
                f"Keras quantized its layers ({policy.partition('_from_')[0]}); convert the model as it was"
                " before"
            )
        if policy.startswith("mixed_") or policy in _NARROW:
            raise UnmeasurableError(
                f"its layers compute in {policy}, and the converter takes only float32; build it as float32"
            )


_NARROW = frozenset(("float16", "bfloat16", "float64"))


def elements_by_buffer(subject: Subject, constants: Mapping[int, Constant]) -> dict[int, Elements]:
    """Return what gives the elements of each constant that is known, by the index of its buffer."""
    found: dict[int, Elements] = {}
    for index, constant in constants.items():
        if constant.values is not None:
            found[index] = partial(_as_is, constant.values)
        elif constant.kernel is not None:
            one = constant.kernel
            found[index] = elements_of(one.tensor, one.layout, subject.reading, one.factors, one.columns)
    return found


def _as_is(values: NDArray[Any], _: tuple[int, ...]) -> NDArray[Any]:
    return values


def kept_by_buffer(subject: Subject, constants: Mapping[int, Constant]) -> dict[int, Kept]:
    """Measure every kernel, by the index of its buffer."""
    found: dict[int, Kept] = {}
    for index, one in (
        (index, constant.kernel) for index, constant in constants.items() if constant.kernel is not None
    ):
        if one.columns is not None:  # of no operator that could be sparse
            continue
        try:
            found[index] = measure_kept(one.tensor, subject.reading, one.layout, one.factors)
        except UnmeasurableError:
            continue
    return found


def _has_shape(model: LayerConfig) -> bool:
    return any(
        items(layer.settings.get(key))
        for layer in model.walk()
        for key in ("batch_input_shape", "batch_shape")
    )


def _guess(subject: Subject, variables: Mapping[str, list[Parameter]], release: Release) -> Source:
    """Take every layer with a kernel for a dense or convolutional one, in order: good for the weights, rough
    for the rest.
    """
    layers: list[LayerConfig] = []
    shape: tuple[int, ...] | None = None
    for name, many in variables.items():
        kernels = [each for each in many if len(each.shape) in (2, 4)]
        if not kernels:
            continue
        first = kernels[0].shape
        kind = "Dense" if len(first) == 2 else "Conv2D"
        shape = shape or ((first[0],) if kind == "Dense" else (32, 32, first[2]))
        layers.append(LayerConfig(name, kind, {"use_bias": len(many) > 1, "padding": "same"}))
    if shape is None or prod(shape) <= 0:
        raise FormatError("it has no kernels", subject.artifact.location, 0)
    given = LayerConfig("inputs", "InputLayer", {"batch_shape": [None, *shape]})
    guessed = {name: _guessed(many) for name, many in variables.items()}
    flow = Flow(2, guessed, Lowering(Network(), subject.reading))
    network = flow.run(LayerConfig("model", "Sequential", {}, (given, *layers)))
    fuse(network)
    root, constants = emit(network, "StatefulPartitionedCall", release)
    doubt = GUESSED_LAYER * max(len(layers), 2)
    held = sum(4 * each.tensor.element_count for many in variables.values() for each in many)
    return Source(root, kept_by_buffer(subject, constants), (), False, doubt, held // 2)


def _guessed(many: list[Parameter]) -> list[Parameter]:
    """Name the first kernel and the first vector of a layer."""
    found = []
    for name, ranks in (("kernel", (2, 4)), ("bias", (1,))):
        found += [Parameter(name, each.tensor, each.values) for each in many if len(each.shape) in ranks][:1]
    return found
