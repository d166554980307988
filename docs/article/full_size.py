"""Write the tables of the full-size networks."""

from __future__ import annotations

import data
from claims import NETWORKS
from data import full, has
from formatting import change, number, percent, table, times

FULL = (
    ("HDF5, with optimizer", "h5"),
    ("HDF5, no optimizer", "h5-no-optimizer"),
    ("HDF5, gzip filter", "hdf5-gzip"),
    ("`.weights.h5`", "weights-h5"),
    ("`.keras`", "keras"),
    ("`.keras`, deflated", "keras-deflate"),
    ("`.keras`, int8", "keras-int8"),
    ("`.keras`, int4", "keras-int4"),
    ("SavedModel", "saved-model"),
    ("SavedModel, `model.export`", "saved-model-export"),
    ("SavedModel, Keras 2's", "saved-model-keras"),
    ("checkpoint", "checkpoint"),
    ("TFLite, float32", "tflite-float32"),
    ("TFLite, float32, sparse", "tflite-float32-sparse"),
    ("TFLite, float16", "tflite-float16"),
    ("TFLite, int8 weights", "tflite-dynamic-int8"),
    ("TFLite, int8 weights, sparse", "tflite-dynamic-int8-sparse"),
    ("TFLite, full integer", "tflite-int8"),
)
"""The saving methods of the full-size networks, with their labels."""
_COMPRESSED = ("hdf5-gzip", "keras-deflate")
_OPTIMIZER = 0.01
"""From which share of a file an optimizer's state is more than its counter of steps."""


def networks_table(network: str) -> str:
    """Return what a full-size network takes in every saving method: original, pruned, shrunk, compressed, in
    both versions of Keras.
    """
    rows = []
    for label, method in FULL:
        cells: list[object] = [label]
        for keras, pruned in ((2, "stripped"), (3, "pruned")):
            for stage, column in (("original", "size"), (pruned, "size"), (pruned, "shrunk")):
                try:
                    cells.append(full(network, keras, stage, method, column=column))
                except LookupError:
                    cells.append("-")
        if set(cells[1:]) != {"-"}:
            rows.append(cells)
    heads = [
        "saved as",
        *(f"Keras {keras}, {what}" for keras in (2, 3) for what in ("original", "pruned", "shrunk")),
    ]
    shown = [place for place in range(len(heads)) if any(row[place] != "-" for row in rows)]
    return table([heads[place] for place in shown], [[row[place] for place in shown] for row in rows])


def second_network() -> str:
    """Return the table of the second full-size network, with its heading line."""
    _, second = NETWORKS
    if not any(row["network"] == second for row in data.networks()):
        return ""
    name, count = NETWORKS[second], number(data.full_parameters(second))
    return (
        f"{name}, {count} weights, without optimizer, in the forms that were"
        f" measured:\n\n{networks_table(second)}"
    )


def wrapped_table() -> str:
    """Return what tfmot's wrappers add to the full-size networks, and what shrink leaves of them."""
    rows = []
    for network, name in NETWORKS.items():
        for label, method in (("HDF5, no optimizer", "h5-no-optimizer"), ("`.keras`", "keras")):
            if not has(network, 2, "wrapped", method):
                continue
            before, wrapped_ = full(network, 2, "stripped", method), full(network, 2, "wrapped", method)
            rows.append(
                (
                    f"{name}, {label}",
                    before,
                    wrapped_,
                    times(wrapped_, before),
                    full(network, 2, "wrapped", method, column="shrunk_training"),
                )
            )
    return table(
        ("saved as", "stripped", "wrapped", "times", "wrapped, after `shrink --drop training`"), rows
    )


def tflite_table() -> str:
    """Return what the dense TFLite forms take beside float32, and what shrink and gzip make of them."""
    rows = []
    for network, name in NETWORKS.items():
        for label, method in FULL:
            if not method.startswith("tflite-") or method.endswith("-sparse"):
                continue
            if not has(network, 3, "pruned", method):
                continue
            whole = full(network, 3, "pruned", method)
            small, zipped = (
                full(network, 3, "pruned", method, column=column) for column in ("shrunk", "gzip_size")
            )
            share = percent(whole / full(network, 3, "pruned", "tflite-float32"))
            rows.append(
                (
                    f"{name}, {label.removeprefix('TFLite, ')}",
                    whole,
                    share,
                    small,
                    change(whole, small),
                    zipped,
                )
            )
    return table(("Keras 3", "pruned", "of float32", "shrunk", "change", "gzipped"), rows)


def quantization_bytes(method: str) -> int:
    """Return the bytes of scales and zero points in the first full-size network that Keras 3 pruned."""
    first, *_ = NETWORKS
    return full(first, 3, "pruned", method, column="quantization")


def largest_change() -> str:
    """Return by how much pruning changed the size of a full-size network at most, over the dense methods
    that store an optimizer before and after, or neither time.
    """
    changes = []
    for network in NETWORKS:
        for keras, pruned in ((2, "stripped"), (3, "pruned")):
            for _, method in FULL:
                if method in _COMPRESSED or method.endswith("-sparse"):
                    continue
                if not (has(network, keras, "original", method) and has(network, keras, pruned, method)):
                    continue
                before, after = full(network, keras, "original", method), full(network, keras, pruned, method)
                states = [
                    full(network, keras, stage, method, column="optimizer_state") > _OPTIMIZER * before
                    for stage in ("original", pruned)
                ]
                if states[0] == states[1]:
                    changes.append(abs(after / before - 1))
    return percent(max(changes), digits=2)
