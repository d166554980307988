"""Holds the claims of the article, the verdict on each, and the checks over the data that the verdict rests
on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from data import (
    MLP,
    cell,
    full,
    full_parameters,
    gzipped,
    has,
    lost_weights,
    part,
    release_names,
    report,
    share,
    size,
    under,
    weights_stored,
)

NETWORKS = {"mobilenet-v2": "MobileNetV2", "efficientnet-b0": "EfficientNetB0"}
Check = tuple[str, Callable[[], bool]]
CONVERTED = ("tflite-float32", "tflite-float16", "tflite-dynamic-int8", "tflite-int8")
"""The dense TFLite forms of the full-size networks."""

LEVELS = (0.0, 0.35, 0.5, 0.65, 0.8, 0.95)


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim with its verdict: ``checks`` are facts, each with a test that must hold for the
    verdict. ``scope`` returns for which networks it was checked, with their sizes.
    """

    claim: str
    verdict: str
    short: str
    scope: Callable[[], str]
    checks: tuple[Check, ...]

    def broken(self) -> list[str]:
        """Return the facts that the data no longer show."""
        return [fact for fact, holds in self.checks if not holds()]


def _same(method: str) -> bool:
    return len({cell("cnn", method, level) for level in LEVELS}) == 1


def _falls(method: str, **more: str) -> bool:
    sizes = [cell("cnn", method, level, **more) for level in LEVELS]
    return all(after < before for before, after in pairwise(sizes))


def _expands(path: str) -> bool:
    return any(finding.rule == "densify-present" for finding in report(path).findings)


def _spread(architecture: str, method: str) -> float:
    """Return how much larger the largest file of any release is than the smallest."""
    sizes = [under(release, architecture, method) for release in release_names()]
    return max(sizes) / min(sizes) - 1


def _saving(architecture: str, method: str) -> float:
    return 1 - cell(architecture, method, 0.8) / cell(architecture, method, 0.8, stage="original")


def _overhead(architecture: str) -> int:
    """Return the bytes of an HDF5 file of the study that are not weights."""
    whole = cell(architecture, "h5-no-optimizer", 0.8)
    return whole - sum(
        cell(architecture, "h5-no-optimizer", 0.8, column=column)
        for column in ("dense_weights", "zero_weights")
    )


def _weights(architecture: str) -> int:
    return cell(architecture, "h5-no-optimizer", 0.8) - _overhead(architecture)


def _having(*cells: tuple[int, str, str]) -> list[str]:
    """Return the full-size networks that were measured in all these: Keras, stage, method.

    Raises `LookupError` where none was.
    """
    found = [network for network in NETWORKS if all(has(network, *cell_) for cell_ in cells)]
    if not found:
        raise LookupError(f"no full-size network was measured in {cells}")
    return found


def _dense() -> list[str]:
    """Return the full-size networks that Keras 2 saved in every dense method that is compared."""
    return _having(*((2, "stripped", method) for method in DENSE))


def _encoded() -> list[str]:
    """Return the full-size networks that Keras 2 converted to int8, and sparsely."""
    return [
        network
        for network in NETWORKS
        if has(network, 2, "original", "tflite-dynamic-int8")
        and has(network, 2, "stripped", "tflite-float32-sparse")
    ]


def _int8_is_smaller(network: str) -> bool:
    return full(network, 2, "original", "tflite-dynamic-int8") < full(
        network, 2, "stripped", "tflite-float32-sparse"
    )


def _exported(keras: int) -> list[str]:
    """Return the full-size networks that a version of Keras exported after pruning."""
    return _having((keras, _pruned(keras), "saved-model-export"))


def _saved_by_both() -> list[str]:
    return _having((2, "stripped", "h5-no-optimizer"), (3, "pruned", "h5-no-optimizer"))


def _pairs() -> list[tuple[int, int]]:
    """Return the sizes before and after pruning of the full-size networks, in every dense method without
    optimizer.
    """
    return [
        (full(network, keras, "original", method), full(network, keras, _pruned(keras), method))
        for network in NETWORKS
        for keras in (2, 3)
        for method in ("h5-no-optimizer", *CONVERTED)
        if has(network, keras, _pruned(keras), method) and has(network, keras, "original", method)
    ]


def _pruned(keras: int) -> str:
    return "stripped" if keras == 2 else "pruned"


def _count(value: int) -> str:
    return f"{value:,}"


def _of(part: float) -> str:
    return f"{100 * part:.1f}\N{NO-BREAK SPACE}%"


def _times(factor: float) -> str:
    return f"{factor:.1f}" if factor > 2 else f"{factor:.2f}"


def _small() -> int:
    return weights_stored(f"{MLP}/stripped/no-optimizer.h5") // 4


def _cnn() -> int:
    return weights_stored("pruned_layers/cnn/stripped/model.h5") // 4


def _large(network: str) -> str:
    return f"{NETWORKS[network]} ({_count(full_parameters(network))} weights)"


def _full_share(network: str, column: str) -> float:
    return full(network, 2, "stripped", "h5-no-optimizer", column=column) / full(
        network, 2, "stripped", "h5-no-optimizer"
    )


DENSE = {
    "h5-no-optimizer": "no-optimizer.h5",
    "weights-h5": "model.weights.h5",
    "keras": "model.keras",
    "saved-model": "saved-model",
    "saved-model-keras": "saved-model-keras",
    "saved-model-export": "saved-model-export",
    "checkpoint": "checkpoint",
}
"""The methods that store float weights densely, with their fixture."""


def _factor_small() -> float:
    """Return how many times the smallest of the dense methods the largest is."""
    sizes = [size(f"{MLP}/stripped/{name}") for name in DENSE.values()]
    return max(sizes) / min(sizes)


def _factor(network: str) -> float:
    sizes = [full(network, 2, "stripped", method) for method in DENSE]
    return max(sizes) / min(sizes)


def _wrapped_small() -> float:
    return size(f"{MLP}/wrapped/no-optimizer.h5") / size(f"{MLP}/original/no-optimizer.h5")


def _wrapped(network: str) -> float:
    return full(network, 2, "wrapped", "h5-no-optimizer") / full(network, 2, "original", "h5-no-optimizer")


def _copies(network: str, keras: int) -> float:
    """Return how many times a full-size network's weights are in its export."""
    stored = sum(
        full(network, keras, _pruned(keras), "saved-model-export", column=column)
        for column in ("dense_weights", "zero_weights")
    )
    return stored / (4 * full_parameters(network))


CLAIMS: dict[str, Claim] = {
    "graph": Claim(
        "The graph and the metadata remain",
        "refined",
        "They remain, to the byte. They are most of a small SavedModel, and a small part of a large file of"
        " weights.",
        lambda: (
            f"graph and metadata are {_of(share(f'{MLP}/stripped/no-optimizer.h5', 'graph', 'metadata'))} of"
            f" the HDF5 file of {_count(_small())} weights; "
            + "; ".join(
                f"the graph is {_of(_full_share(network, 'graph'))} of that of {_large(network)}"
                for network in _dense()
            )
        ),
        (
            (
                "HDF5 and TFLite files have as many bytes of graph and metadata after pruning as before",
                lambda: all(
                    part(f"{MLP}/original/{name}", "graph", "metadata")
                    == part(f"{MLP}/stripped/{name}", "graph", "metadata")
                    for name in ("no-optimizer.h5", "float32.tflite", "dynamic-int8.tflite")
                ),
            ),
            (
                "they are most of the small network's SavedModel",
                lambda: share(f"{MLP}/stripped/saved-model", "graph", "metadata") > 0.5,
            ),
            (
                "they are less than a thirtieth of the larger network's HDF5 file",
                lambda: share("pruned_layers/cnn/stripped/model.h5", "graph", "metadata") < 1 / 30,
            ),
            (
                "the graph is less than a hundredth of the full-size networks' HDF5 files",
                lambda: all(_full_share(network, "graph") < 0.01 for network in _dense()),
            ),
        ),
    ),
    "stored": Claim(
        "Pruned weights are still stored",
        "confirmed",
        "Each zero takes the same space as any other number, in every dense format.",
        lambda: (
            f"{_count(_small())} weights; {'; '.join(map(_large, _having((3, 'pruned', 'h5-no-optimizer'))))}"
        ),
        (
            (
                "the pruned HDF5 and TFLite files are as large as the original ones, to the byte",
                lambda: all(
                    size(f"{MLP}/original/{name}") == size(f"{MLP}/stripped/{name}")
                    for name in ("no-optimizer.h5", "float32.tflite", "dynamic-int8.tflite")
                ),
            ),
            (
                "every dense float format holds the same bytes of zeros",
                lambda: all(
                    part(f"{MLP}/stripped/{name}", "zero-weights") in range(8_192, 8_200)
                    for name in (
                        "no-optimizer.h5",
                        "model.keras",
                        "model.weights.h5",
                        "saved-model",
                        "checkpoint",
                        "float32.tflite",
                    )
                ),
            ),
            (
                (
                    "the full-size networks have one size before and after pruning as HDF5 without optimizer,"
                    " and in each dense TFLite form"
                ),
                lambda: len(_pairs()) >= 2 and all(before == after for before, after in _pairs()),
            ),
            (
                "gzip takes more off the pruned file than off the original",
                lambda: (
                    gzipped(f"{MLP}/stripped/no-optimizer.h5")
                    < 0.5 * gzipped(f"{MLP}/original/no-optimizer.h5")
                ),
            ),
        ),
    ),
    "algorithm": Claim(
        "It depends on the algorithm, and on how aggressive it is",
        "refined",
        "Not while storage is dense. Once it is not, sparsity and the pattern of the zeros decide; the"
        " schedule hardly matters.",
        lambda: (
            f"levels of sparsity on {_count(_cnn())} weights, schedules on {_count(_small())}, patterns on "
            f"{_count(_weights('few-large-layers') // 4)}, all trained on seeded noise"
        ),
        (
            (
                "dense files have one size from no zeros to the most",
                lambda: all(map(_same, ("h5-no-optimizer", "tflite-float32", "tflite-dynamic-int8"))),
            ),
            (
                "compressed files become smaller with every level",
                lambda: _falls("keras-deflate") and _falls("tflite-dynamic-int8", column="gzip_size"),
            ),
            (
                "a gradual and a sudden schedule end within a hundredth of one another",
                lambda: all(
                    abs(
                        cell("mlp", "keras-deflate", level, schedule="gentle")
                        / cell("mlp", "keras-deflate", level, schedule="sudden")
                        - 1
                    )
                    < 0.01
                    for level in (0.5, 0.8, 0.95)
                ),
            ),
            (
                (
                    "at the same sparsity, int8 files in the blocks that the kernel takes are little more"
                    " than half as large as in others"
                ),
                lambda: (
                    cell("few-large-layers", "tflite-dynamic-int8-sparse", 0.5, pattern="block-16x1")
                    < 0.6 * cell("few-large-layers", "tflite-dynamic-int8-sparse", 0.5, pattern="block-4x1")
                ),
            ),
            (
                (
                    "blocks that the kernel takes stay sparse when the model runs, others have a DENSIFY"
                    " operator that expands them"
                ),
                lambda: (
                    [
                        _expands(f"pruned_blocks/{pattern}/stripped/dynamic-int8-sparse.tflite")
                        for pattern in ("block-16x1", "block-4x1")
                    ]
                    == [False, True]
                ),
            ),
        ),
    ),
    "method": Claim(
        "It depends on the TensorFlow version and the saving method",
        "refined",
        "For a small network, the largest dense file is five times the smallest; for the large ones it is"
        " under a quarter larger, except for Keras 3's export. The release matters for int8 files of the"
        " converter.",
        lambda: (
            f"the largest dense method takes {_times(_factor_small())} times the bytes of the smallest for"
            f" {_count(_small())} weights, "
            + ", ".join(f"{_times(_factor(network))} for {_large(network)}" for network in _dense())
        ),
        (
            (
                (
                    "for the small network, one dense method takes five times the bytes of another, for the"
                    " large ones under a quarter more"
                ),
                lambda: _factor_small() > 5 and all(_factor(network) < 1.25 for network in _dense()),
            ),
            (
                "the optimizer's state is twice the weights, and stripping drops it",
                lambda: (
                    part(f"{MLP}/original/model.h5", "optimizer-state")
                    >= 2 * part(f"{MLP}/original/model.h5", "dense-weights")
                ),
            ),
            (
                "HDF5 files and checkpoints have the same size under every release that was tried",
                lambda: all(
                    len({under(release, architecture, method) for release in release_names()}) == 1
                    for architecture in ("mlp", "cnn")
                    for method in ("h5", "h5-no-optimizer", "weights-h5", "checkpoint", "hdf5-gzip")
                ),
            ),
            (
                "SavedModels and float TFLite files stay within 1 %, sparse ones within 4 %",
                lambda: all(
                    _spread(architecture, method) < most
                    for architecture in ("mlp", "cnn")
                    for method, most in (
                        ("saved-model", 0.01),
                        ("tflite-float32", 0.01),
                        ("tflite-float16", 0.01),
                        ("tflite-float32-sparse", 0.04),
                    )
                ),
            ),
            (
                (
                    "the newer converters write int8 files of the small network over a third larger, all of"
                    " it scales of quantization"
                ),
                lambda: all(
                    under(new, "mlp", "tflite-dynamic-int8")
                    > 4 / 3 * under(release_names()[0], "mlp", "tflite-dynamic-int8")
                    and under(new, "mlp", "tflite-dynamic-int8", column="quantization")
                    - under(release_names()[0], "mlp", "tflite-dynamic-int8", column="quantization")
                    >= under(new, "mlp", "tflite-dynamic-int8")
                    - under(release_names()[0], "mlp", "tflite-dynamic-int8")
                    for new in release_names()[1:]
                ),
            ),
            (
                "Keras 3's export stores every weight twice, tf_keras's once",
                lambda: (
                    weights_stored("saved_model_keras3/exported") == 2 * 4 * (3 * 4 + 4 + 4 * 2 + 2)
                    and weights_stored(f"{MLP}/stripped/saved-model-export")
                    == 4 * (10 * 128 + 128 + 128 * 10 + 10)
                ),
            ),
        ),
    ),
    "layers": Claim(
        "Many small layers gain less than few large ones",
        "refined",
        "They carry more overhead, and pruning saves a slightly smaller share of them: at most seven"
        " hundredths of the file less.",
        lambda: f"two networks of {_count(_weights('few-large-layers') // 4)} weights each",
        (
            (
                "both networks have the same bytes of weights",
                lambda: _weights("many-small-layers") == _weights("few-large-layers"),
            ),
            (
                "many small layers have over four times the overhead in HDF5",
                lambda: _overhead("many-small-layers") > 4 * _overhead("few-large-layers"),
            ),
            (
                (
                    "compressed or sparse, both shrink by the same share within four hundredths in float32"
                    " and seven in int8"
                ),
                lambda: all(
                    abs(_saving("many-small-layers", method) - _saving("few-large-layers", method)) < most
                    for method, most in (
                        ("keras-deflate", 0.04),
                        ("tflite-float32-sparse", 0.04),
                        ("tflite-dynamic-int8-sparse", 0.07),
                    )
                ),
            ),
            (
                "few large layers shrink by more each time",
                lambda: all(
                    _saving("many-small-layers", method) < _saving("few-large-layers", method)
                    for method in ("keras-deflate", "tflite-float32-sparse", "tflite-dynamic-int8-sparse")
                ),
            ),
        ),
    ),
    "quantization": Claim(
        "Quantization with pruning goes further than pruning alone",
        "refined",
        "It does, but the first step is quantization's own. Pruning adds to it only with sparse encoding or a"
        " compressor.",
        lambda: "; ".join([f"{_count(_cnn())} weights", *map(_large, _encoded())]),
        (
            (
                "int8 alone is smaller than float32 pruned to four fifths and encoded sparsely",
                lambda: cell("cnn", "tflite-dynamic-int8", 0.0) < cell("cnn", "tflite-float32-sparse", 0.8),
            ),
            *(
                (
                    f"the same is true of {NETWORKS[network]}",
                    partial(_int8_is_smaller, network),
                )
                for network in _encoded()
            ),
            (
                "pruning takes nothing off a dense int8 file",
                lambda: cell("cnn", "tflite-dynamic-int8", 0.8) == cell("cnn", "tflite-dynamic-int8", 0.0),
            ),
            (
                "both together are smaller than either alone",
                lambda: (
                    cell("cnn", "tflite-dynamic-int8-sparse", 0.8)
                    < min(cell("cnn", "tflite-dynamic-int8", 0.0), cell("cnn", "tflite-float32-sparse", 0.8))
                ),
            ),
            (
                (
                    "sparse int8 can lose weights: the converter drops those beyond the last whole block, and"
                    " modelinspect says so"
                ),
                lambda: lost_weights(f"{MLP}/stripped/dynamic-int8-sparse.tflite") > 0,
            ),
            (
                "as a download, the dense int8 file is the smaller one, also of the full-size networks",
                lambda: (
                    cell("cnn", "tflite-dynamic-int8", 0.8, column="gzip_size")
                    < cell("cnn", "tflite-dynamic-int8-sparse", 0.8, column="gzip_size")
                    and all(
                        full(network, 2, "stripped", "tflite-dynamic-int8", column="gzip_size")
                        < full(network, 2, "stripped", "tflite-dynamic-int8-sparse", column="gzip_size")
                        for network in _encoded()
                    )
                ),
            ),
        ),
    ),
    "grow": Claim(
        "Sizes may even grow",
        "confirmed",
        "In three ways: masks that were not stripped, an index that costs more than the zeros did, blocks"
        " that no kernel takes.",
        lambda: (
            f"wrapped HDF5 files without optimizer: {_times(_wrapped_small())} times for {_count(_small())}"
            " weights, "
            + ", ".join(
                f"{_times(_wrapped(network))} for {_large(network)}"
                for network in _having((2, "wrapped", "h5-no-optimizer"))
            )
            + f"; sparse int8 on {_count(_cnn())} weights"
        ),
        (
            (
                "the wrapped model is larger than the original in every method",
                lambda: all(
                    size(f"{MLP}/wrapped/{name}") > size(f"{MLP}/original/{name}")
                    for name in (
                        "model.h5",
                        "no-optimizer.h5",
                        "model.keras",
                        "model.weights.h5",
                        "checkpoint",
                        "float32.tflite",
                    )
                ),
            ),
            (
                "sparse int8 is over one and a half times the dense file at the lowest level",
                lambda: (
                    cell("cnn", "tflite-dynamic-int8-sparse", 0.35)
                    > 1.5 * cell("cnn", "tflite-dynamic-int8", 0.35)
                ),
            ),
            (
                "half zeros in blocks that the int8 kernel does not take are larger sparse than dense",
                lambda: (
                    cell("few-large-layers", "tflite-dynamic-int8-sparse", 0.5, pattern="block-4x1")
                    > cell("few-large-layers", "tflite-dynamic-int8", 0.5, pattern="block-4x1")
                ),
            ),
        ),
    ),
    "keras3": Claim(
        "Keras 3 is different",
        "refined",
        "Another tool prunes it, and its export stores each weight twice. At full size, its HDF5 and TFLite"
        " files differ by less than a fiftieth until they are compressed.",
        lambda: f"{' and '.join(map(_large, _exported(3)))}",
        (
            (
                "the export of Keras 3 holds each weight twice, that of Keras 2 once",
                lambda: (
                    all(1.9 < _copies(network, 3) < 2.1 for network in _exported(3))
                    and all(0.9 < _copies(network, 2) < 1.1 for network in _exported(2))
                ),
            ),
            (
                "`shrink` takes the second copy out of the export of Keras 3",
                lambda: all(
                    full(network, 3, "pruned", "saved-model-export", column="shrunk")
                    < 0.6 * full(network, 3, "pruned", "saved-model-export")
                    for network in _exported(3)
                ),
            ),
            (
                "at full size, HDF5 files without optimizer and dense TFLite files are within a fiftieth",
                lambda: all(
                    abs(full(network, 3, "pruned", method) / full(network, 2, "stripped", method) - 1) < 0.02
                    for network in _saved_by_both()
                    for method in ("h5-no-optimizer", *CONVERTED)
                    if has(network, 2, "stripped", method) and has(network, 3, "pruned", method)
                ),
            ),
        ),
    ),
}
