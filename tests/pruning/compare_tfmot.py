"""Prunes the same weights with tfmot and with modelinspect, at once, and prints what differs as JSON; needs
TF_USE_LEGACY_KERAS=1.
"""

from __future__ import annotations

import json
import sys

import keras
import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras

import modelinspect as mi
from modelinspect.pruning.schedules import ConstantSchedule
from modelinspect.pruning.selection import Pattern, Selection, select
from modelinspect.pruning.worker import networks, wrapping

PATTERNS = {"single": Pattern(), "blocks": Pattern((2, 1)), "2-by-4": Pattern(m_by_n=(2, 4))}


def main() -> None:
    """Compare the networks named in the arguments."""
    found = []
    for name in sys.argv[1:]:
        keras.utils.set_random_seed(5)
        old, new = networks.build(name, tf_keras), networks.build(name, keras)
        start = [
            np.random.default_rng(at).standard_normal(w.shape).astype(w.dtype)
            for at, w in enumerate(new.get_weights())
        ]
        for sparsity in (0.35, 0.5, 0.8):
            for label, pattern in PATTERNS.items():
                old.set_weights(start[: len(old.get_weights())])
                new.set_weights(start)
                found += compare(name, old, new, sparsity, label, pattern)
    print(json.dumps(found))


def compare(name, old, new, sparsity, label, pattern):
    copy = wrapping.clone(old)
    facts = wrapping.layer_facts(copy)
    vectors = [layer.name for layer in facts if any(1 in weight.shape for weight in layer.weights)]
    # tfmot squeezes a kernel of one output to a vector, and its pooling of blocks then raises
    selection = Selection(exclude=tuple(vectors)) if label == "blocks" else Selection()
    try:
        decisions = select(facts, selection, pattern)
    except mi.ModelInspectError as problem:
        return [
            {"network": name, "sparsity": sparsity, "pattern": label, "kernel": "", "reason": str(problem)}
        ]
    wrapped = wrapping.wrap(copy, decisions, ConstantSchedule(sparsity, 0, -1, 1), pattern)
    wrapping.prune_at_once(wrapped)
    stripped = dict(wrapping._layers(tfmot.sparsity.keras.strip_pruning(wrapped)))
    theirs_too = {
        (decision.layer.name, weight.name)
        for decision in decisions
        if decision.chosen
        for weight in decision.layer.weights
    }
    report = mi.prune(new, sparsity, block_size=pattern.block_size, m_by_n=pattern.m_by_n)
    assert theirs_too <= {(kernel.layer, kernel.weight) for kernel in report.kernels}, theirs_too
    rows = []
    for kernel in report.kernels:
        if (kernel.layer, kernel.weight) not in theirs_too:
            continue
        theirs = next(
            np.asarray(part)
            for part in stripped[kernel.layer].weights
            if wrapping._short(part.name) == kernel.weight and tuple(part.shape) == kernel.shape
        )
        ours = np.asarray(next(v for layer, v in variables(new) if layer == (kernel.layer, kernel.weight)))
        rows.append(
            {
                "network": name,
                "sparsity": sparsity,
                "pattern": label,
                "kernel": f"{kernel.layer}/{kernel.weight}",
                "elements": ours.size,
                "tfmot": int((theirs == 0).sum()),
                "ours": int((ours == 0).sum()),
                "different": int(((theirs == 0) != (ours == 0)).sum()),
                "kept_values_differ": int(
                    (theirs[(theirs != 0) & (ours != 0)] != ours[(theirs != 0) & (ours != 0)]).sum()
                ),
                "negative_zeros": int((np.signbit(ours) & (ours == 0)).sum()),
            }
        )
    return rows


def variables(network):
    from modelinspect.pruning.magnitude.kernels import find_units

    return [
        ((kernel.layer, kernel.weight), kernel.variable)
        for unit in find_units(network)
        for kernel in unit.kernels
    ]


if __name__ == "__main__":
    main()
