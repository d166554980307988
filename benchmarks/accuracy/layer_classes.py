"""List every layer class of Keras 3 and tf_keras with what `plan` makes of it, and write
docs/reference/layer-classes.md.

usage: python benchmarks/accuracy/layer_classes.py [--names]

``--names`` asks the installed libraries for their classes and stores them in ``layer_classes.json``; without
it, the stored names are taken, so the page can be written without TensorFlow.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

from modelinspect.conversion.keras.layers import LAYERS  # noqa: E402
from modelinspect.conversion.keras.masks import IDENTITIES  # noqa: E402
from modelinspect.networks.keras_layers import MODELS  # noqa: E402

NAMES = FOLDER / "layer_classes.json"
PAGE = FOLDER.parents[1] / "docs" / "reference" / "layer-classes.md"
STRUCTURE = frozenset(
    ("Input", "InputLayer", "Layer", "InputSpec", "Wrapper", "StackedRNNCells", "RNN", "AbstractRNNCell")
)
"""Classes that are part of others, and no layers of a model."""
REFUSED = frozenset(("ConvLSTM2D", "MaxPooling3D"))
"""Classes whose networks in ``layer_sizes.csv`` the converter refuses."""
WITHHELD = {"tf_keras": frozenset(("CenterCrop", "GroupNormalization"))}
"""Classes that are predicted of one version of Keras only, by the library whose layers are withheld."""
ALIASES = (
    ("AvgPool", "AveragePooling"),
    ("Convolution", "Conv"),
    ("GlobalAvgPool", "GlobalAveragePooling"),
    ("GlobalMaxPool", "GlobalMaxPooling"),
    ("MaxPool", "MaxPooling"),
    ("SeparableConvolution", "SeparableConv"),
)
"""Beginnings of second names of classes: files have the first name."""


def names() -> dict[str, list[str]]:
    """Return the layer classes of each library, as it exports them."""
    import keras
    import tf_keras

    found = {}
    for library in (keras, tf_keras):
        layers = vars(library.layers)
        classes = [
            name
            for name, item in layers.items()
            if inspect.isclass(item) and issubclass(item, library.layers.Layer)
        ]
        found[library.__name__] = sorted(classes)
    return found


def status(name: str, library: str) -> str:
    """Return what `plan` does with a layer of a library."""
    for short, whole in ALIASES:
        if name.startswith(short) and not name.startswith(whole):
            return status(whole + name.removeprefix(short), library)
    if name in STRUCTURE:
        return "part of others"
    if name in REFUSED:
        return "refused by the converter"
    if name in IDENTITIES:
        return "does nothing at inference"
    if name in WITHHELD.get(library, ()):
        return "withheld"
    if name in LAYERS or name in MODELS:
        return "predicted"
    return "withheld"


def page(classes: dict[str, list[str]]) -> str:
    """Return the page."""
    lines = [
        "# Layer classes",
        "",
        "<!-- Written by benchmarks/accuracy/layer_classes.py; do not edit. -->",
        "",
    ]
    lines += [
        (
            "What `modelinspect plan` does with each layer class of Keras when it predicts TFLite files. A"
            " model with a *withheld* layer"
        ),
        (
            "gets no prediction, and the plan names the layer. *Predicted* layers may still be withheld for"
            " some settings."
        ),
        "",
        "| layer class | Keras 3 | tf_keras |",
        "| --- | --- | --- |",
    ]
    for name in sorted({each for many in classes.values() for each in many}):
        cells = [
            status(name, library) if name in classes[library] else "-" for library in ("keras", "tf_keras")
        ]
        lines.append(f"| `{name}` | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    if "--names" in sys.argv:
        NAMES.write_text(json.dumps(names(), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(json.loads(NAMES.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
