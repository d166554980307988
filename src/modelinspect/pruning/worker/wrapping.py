"""Wrap a network's layers with tfmot, unwrap them, and count zeros."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.sparsity.keras.prune_registry import PruneRegistry
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_wrapper import PruneLowMagnitude

from modelinspect.pruning.events import WeightSparsity
from modelinspect.pruning.schedules import ConstantSchedule, PolynomialSchedule, Schedule
from modelinspect.pruning.selection import Decision, LayerFacts, Pattern, WeightFacts
from modelinspect.pruning.worker.networks import Network

sparsity = tfmot.sparsity.keras


def clone(network: Network) -> Network:
    """Return its own network objects with the same weights: tfmot wraps, and so prunes, the very layers that
    it is given.
    """
    copy = tf_keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def layer_facts(network: Network) -> tuple[LayerFacts, ...]:
    """Describe every layer but the inputs; weights are named by what they are called in their layer."""
    copy = tf_keras.models.clone_model(network)  # asking a layer for its prunable weights changes it
    found = []
    for name, layer in _layers(copy):
        known = hasattr(layer, "get_prunable_weights")
        supported = known or PruneRegistry.supports(layer)
        prunable = (
            (layer if known else PruneRegistry.make_prunable(layer)).get_prunable_weights()
            if supported
            else []
        )
        weights = tuple(WeightFacts(_short(weight.name), tuple(weight.shape)) for weight in prunable)
        found.append(LayerFacts(name, type(layer).__name__, supported, weights))
    return tuple(found)


def wrap(network: Network, decisions: Sequence[Decision], schedule: Schedule, pattern: Pattern) -> Network:
    """Return the network with its chosen layers wrapped; the wrappers hold this network's own layers."""
    settings = {
        "pruning_schedule": _schedule(schedule),
        "block_size": pattern.block_size,
        "block_pooling_type": pattern.pooling,
        "sparsity_m_by_n": pattern.m_by_n,
    }
    if all(
        decision.chosen or (decision.layer.supported and not decision.layer.weights) for decision in decisions
    ):
        return sparsity.prune_low_magnitude(network, **settings)
    chosen = {decision.layer.name for decision in decisions if decision.chosen}
    return _clone_wrapped(network, chosen, settings, "")


def prune_at_once(wrapped: Network) -> None:
    """Set the masks and apply them, without training."""
    for _, layer in _layers(wrapped):
        if isinstance(layer, PruneLowMagnitude):
            layer.pruning_step.assign(1)
            layer.pruning_obj.conditional_mask_update()
            layer.pruning_obj.weight_mask_op()


def strip(wrapped: Network) -> Network:
    """Return the network without wrappers."""
    return sparsity.strip_pruning(wrapped)


def count_zeros(network: Network, decisions: Sequence[Decision]) -> tuple[WeightSparsity, ...]:
    """Count the zeros of every weight that tfmot could prune."""
    layers = dict(_layers(network))
    found = []
    for decision in decisions:
        layer = layers[decision.layer.name]
        for weight in decision.layer.weights:
            values = _value(layer, weight)
            zeros = int(values.size - np.count_nonzero(values))
            found.append(
                WeightSparsity(decision.layer.name, weight.name, weight.shape, zeros, decision.chosen)
            )
    return tuple(found)


def _value(layer: Any, weight: WeightFacts) -> Any:
    return next(
        part.numpy()
        for part in layer.weights
        if _short(part.name) == weight.name and tuple(part.shape) == weight.shape
    )


def _layers(network: Network, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the layers of a network and of the networks in it, wrapped ones under the name of what they
    wrap.
    """
    for layer in network.layers:
        inner = layer.layer if isinstance(layer, PruneLowMagnitude) else layer
        if isinstance(inner, tf_keras.Model):
            yield from _layers(inner, f"{prefix}{inner.name}/")
        elif not isinstance(inner, tf_keras.layers.InputLayer):
            yield prefix + inner.name, layer


def _clone_wrapped(network: Network, chosen: set[str], settings: dict[str, Any], prefix: str) -> Network:
    def visit(layer: Any) -> Any:
        if isinstance(layer, tf_keras.Model):
            return _clone_wrapped(layer, chosen, settings, f"{prefix}{layer.name}/")
        return sparsity.prune_low_magnitude(layer, **settings) if prefix + layer.name in chosen else layer

    return tf_keras.models.clone_model(network, clone_function=visit)


def _schedule(schedule: Schedule) -> Any:
    match schedule:
        case ConstantSchedule(target, begin, end, frequency):
            return sparsity.ConstantSparsity(target, begin, end, frequency)
        case PolynomialSchedule(initial, final, begin, end, power, frequency):
            return sparsity.PolynomialDecay(initial, final, begin, end, power, frequency)


def _short(name: str) -> str:
    """Return a variable's name in its layer: ``query/kernel`` of ``attention/query/kernel:0``."""
    parts = name.partition(":")[0].split("/")
    return (
        "/".join(part for part in parts[-2:] if part)
        if parts[-2:-1] in (["query"], ["key"], ["value"], ["attention_output"])
        else parts[-1]
    )
