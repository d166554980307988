"""Rebuild models whose sizes others published, and compare; write the page docs/guide/published.md.

usage: python benchmarks/accuracy/published.py [TEST...]   rebuild (all tests, or T1 and so on), write
published.json and the page
       python benchmarks/accuracy/published.py --page      write the page from published.json; needs no
       TensorFlow

The weights are random: the architecture decides how many there are, and the tests are about bytes.
`published_page` writes the page.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

import modelinspect as mi  # noqa: E402
from benchmarks.accuracy import published_page  # noqa: E402
from benchmarks.accuracy.published_networks import (  # noqa: E402
    DISTILBERT,
    GEMMA3_1B,
    LENETS,
    TABLES,
    TINY,
    Network,
    mobilenet_kernels,
)

RESULTS = FOLDER / "published.json"
SEED = 20_251_201
Row = dict[str, Any]

WEIGHT_FILES: dict[str, tuple[str, dict[str, object], int]] = {
    "vgg16": ("VGG16", {}, 553_467_096),
    "vgg16_notop": ("VGG16", {"include_top": False}, 58_889_256),
    "resnet50": ("ResNet50", {}, 102_967_424),
    "resnet50_notop": ("ResNet50", {"include_top": False}, 94_765_736),
    "inception_v3": ("InceptionV3", {}, 96_112_376),
    "xception": ("Xception", {}, 91_884_032),
    "mobilenet_v2_1.0_224": ("MobileNetV2", {}, 14_536_120),
    "mobilenet_v2_1.0_224_no_top": (
        "MobileNetV2",
        {"include_top": False, "input_shape": (224, 224, 3)},
        9_406_464,
    ),
    "mobilenet_1_0_224_tf_no_top": (
        "MobileNet",
        {"include_top": False, "input_shape": (224, 224, 3)},
        17_225_924,
    ),
    "efficientnetb0_notop": ("EfficientNetB0", {"include_top": False}, 16_705_208),
}
"""The class of tf_keras.applications, its arguments, and the published bytes, by the name of the file."""
DELETED = "mobilenet_1_0_224_tf_no_top"


def t1(names: tuple[str, ...] = tuple(WEIGHT_FILES)) -> Iterator[Row]:
    """Yield the weight files of keras.applications."""
    for name in names:
        kind, arguments, published = WEIGHT_FILES[name]
        _keras().backend.clear_session()  # names of layers are numbered in a session, and a longer name is a larger file  # noqa: E501
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.h5"
            model = _keras().applications.__dict__[kind](weights=None, **arguments)
            model.save_weights(path)
            bytes_of_weights = sum(int(np.prod(weight.shape)) * weight.dtype.size for weight in model.weights)
            row = {
                "file": name,
                "parameters": model.count_params(),
                "weights": bytes_of_weights,
                "published": published,
                **_bytes_of(path),
            }
            if name == DELETED:
                row["deleted"] = _delete_top(Path(folder) / "whole.h5")
            yield row


def _bytes_of(path: Path) -> Row:
    """Return the size of a file, its payload, and the other bytes by category."""
    report = mi.inspect(path, measure=False)
    payload = sum(tensor.stored_size for tensor in report.tensors)
    other = {
        name: size
        for name, size in report.to_dict()["categories"].items()
        if size and name != "dense-weights"
    }
    return {"rebuilt": report.artifact.size, "payload": payload, "other": other}


def _delete_top(path: Path) -> Row:
    """Delete the last layer of MobileNet in place, as the published file was made, and say where its bytes
    are.
    """
    _keras().applications.MobileNet(weights=None).save_weights(path)
    whole = path.stat().st_size
    with h5py.File(path) as file:
        layer = int(
            sum(item.size * item.dtype.itemsize for item in file["conv_preds"]["conv_preds"].values())
        )
    with h5py.File(path, "r+") as file:
        del file["conv_preds"]
        names = [name for name in file.attrs["layer_names"] if name not in ("conv_preds", b"conv_preds")]
        file.attrs["layer_names"] = names
    report = mi.inspect(path)
    findings = {one.rule: one.bytes for one in report.findings}
    free = report.to_dict()["categories"]["free"]
    return {
        "before": whole,
        "after": report.artifact.size,
        "layer": layer,
        "free": free,
        "hidden": findings.get("hidden-bytes", 0),
    }


def t2() -> Iterator[Row]:
    """Yield the non-zero parameters of MobileNet at each sparsity, as the tool counts them."""
    for share, published in ((0.0, "4.21"), (0.5, "2.13"), (0.75, "1.09"), (0.9, "0.46"), (0.95, "0.25")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mobilenet.h5"
            _write_weights(path, mobilenet_kernels(), share)
            report = mi.tensors(path)
            zeros = sum(tensor.zero_count or 0 for tensor in report.tensors)
            count = sum(tensor.element_count for tensor in report.tensors)
            yield {"sparsity": share, "published": published, "parameters": count, "non_zero": count - zeros}


def _write_weights(path: Path, network: Network, share: float = 0.0, clusters: int = 0) -> None:
    """Write random kernels of an architecture; prunable ones have a share of zeros, by magnitude."""
    random = np.random.default_rng(SEED)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in network]
        for name, (shape, prunable) in network.items():
            values = random.standard_normal(shape, dtype=np.float32)
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode()]
            group[f"{name}/kernel:0"] = _pruned(values, share) if prunable else values


def _pruned(values: np.ndarray, share: float) -> np.ndarray:
    """Return values with the smallest of them set to zero."""
    zeros = round(values.size * share)
    result = values.reshape(-1).copy()
    result[np.argsort(np.abs(result), kind="stable")[:zeros]] = 0
    return result.reshape(values.shape)


def t3() -> Iterator[Row]:
    """Yield the networks of Deep Compression: counts, sizes, and what the tool gives as a lower bound."""
    for name, (network, published) in LENETS.items():
        random = np.random.default_rng(SEED)
        with tempfile.TemporaryDirectory() as folder:
            paths = {kind: Path(folder) / f"{kind}.h5" for kind in ("dense", "pruned", "shared")}
            for kind, path in paths.items():
                with h5py.File(path, "w") as file:
                    file.attrs["layer_names"] = [layer.encode() for layer in network]
                    for layer, (shape, kept, bits) in network.items():
                        kernel = random.standard_normal(shape, dtype=np.float32)
                        if kind != "dense":
                            kernel = _pruned(kernel, 1 - kept)
                        if kind == "shared":
                            kernel = _clustered(kernel, 2**bits)
                        bias = np.zeros(shape[-1], np.float32) + np.float32(0.5)
                        group = file.create_group(layer)
                        group.attrs["weight_names"] = [
                            f"{layer}/kernel:0".encode(),
                            f"{layer}/bias:0".encode(),
                        ]
                        group[f"{layer}/kernel:0"], group[f"{layer}/bias:0"] = kernel, bias
            dense, pruned = (mi.tensors(paths[kind]) for kind in ("dense", "pruned"))
            count = sum(tensor.element_count for tensor in dense.tensors)
            zeros = sum(tensor.zero_count or 0 for tensor in pruned.tensors)
            kernels = [tensor for tensor in pruned.tensors if len(tensor.shape) > 1]
            kept_weights = sum(tensor.element_count - (tensor.zero_count or 0) for tensor in kernels)
            sizes = {
                option.option: option.size
                for option in mi.plan(paths["shared"], only=["gzip-9", "entropy-bound"]).options
            }
            payload = sum(tensor.stored_size for tensor in dense.tensors)
            yield {
                "network": name,
                "parameters": count,
                "payload": payload,
                "non_zero": count - zeros,
                "non_zero_kernels": kept_weights,
                "bound": sizes["entropy-bound"],
                "gzip": sizes["gzip-9"],
                **published,
            }


def _clustered(values: np.ndarray, clusters: int) -> np.ndarray:
    """Return values moved to the nearest of evenly spaced ones, which is where k-means of the paper begins;
    zeros stay.
    """
    kept = values[values != 0]
    steps = np.linspace(kept.min(), kept.max(), clusters - 1, dtype=np.float32)
    nearest = (
        steps[np.abs(kept[:, None] - steps[None, :]).argmin(1)]
        if kept.size < 100_000
        else _nearest(kept, steps)
    )
    result = values.copy()
    result[values != 0] = np.where(nearest == 0, steps[steps != 0][0], nearest)
    return result


def _nearest(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    width = steps[1] - steps[0]
    index = np.clip(np.rint((values - steps[0]) / width), 0, len(steps) - 1).astype(np.int64)
    return steps[index]


def _equally_filled(values: np.ndarray, clusters: int) -> np.ndarray:
    """Return values moved to the middle of as many groups of the same number of values."""
    order = np.argsort(values, axis=None)
    result = np.empty(values.size, np.float32)
    for part in np.array_split(order, clusters):
        result[part] = values.reshape(-1)[part].mean() if part.size else 0
    return result.reshape(values.shape)


def t4() -> Iterator[Row]:
    """Yield the models of the INT4 guide of Keras: files with the tensors of the architecture and no weights
    in them.
    """
    for name, (float_tensors, int4_tensors, published, published_int4) in (
        ("Gemma3 1B", (*GEMMA3_1B, 3_815.32, 1_488.10)),
        ("DistilBERT", (*DISTILBERT, 255.86, 159.49)),
    ):
        row: Row = {"model": name, "published": published, "published_int4": published_int4}
        for kind, tensors in (("float", float_tensors), ("int4", int4_tensors)):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.weights.h5"
                _write_hollow(path, tensors)
                report = mi.inspect(path, measure=False)
                floats = sum(
                    t.stored_size
                    for t in report.tensors
                    if t.dtype == "float32" and not t.name.endswith("scale")
                )
                row |= {
                    kind: report.artifact.size,
                    f"{kind}_parameters": sum(t.element_count for t in report.tensors),
                    f"{kind}_stayed": floats,
                    f"{kind}_payload": sum(t.stored_size for t in report.tensors),
                }
        yield row


def _write_hollow(path: Path, tensors: dict[str, tuple[tuple[int, ...], str]]) -> None:
    """Write a file of Keras 3 whose tensors have their places and no bytes: the file is as long, and the disk
    holds little of it.
    """
    with h5py.File(path, "w") as file:
        for name, (shape, dtype) in tensors.items():
            properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
            links.set_create_intermediate_group(True)
            space = h5py.h5s.create_simple(shape)
            h5py.h5d.create(
                file.id, name.encode(), h5py.h5t.py_create(np.dtype(dtype)), space, properties, links
            )


def t5() -> Iterator[Row]:
    """Yield the table of collaborative optimization: what is published, and the rebuilt model before and
    after pruning.
    """
    for name, published in (
        (
            "DS-CNN-L",
            {
                "plain": (528_128, 434_879),
                "pruned": (528_128, 334_154),
                "QAT": (512_224, 403_261),
                "PQAT": (512_032, 303_997),
            },
        ),
        (
            "MobileNet v1 224",
            {
                "plain": (4_665_520, 3_880_331),
                "pruned": (4_665_520, 2_939_734),
                "QAT": (4_569_416, 3_808_781),
                "PQAT": (4_569_416, 2_869_600),
            },
        ),
    ):
        row: Row = {"model": name, "published": published}
        for kind, share in (("plain", 0.0), ("pruned", 0.5)):
            row[kind] = _converted(TABLES[name], share, 0, ("tflite-dynamic-int8", "tflite-int8"))
        yield row


def t6() -> Iterator[Row]:
    """Yield the models of MLPerf Tiny: TFLite files predicted from Keras files, against the published
    ones.
    """
    corpus = _corpus()
    for name, (build, published, published_int8, file) in TINY.items():
        found = _converted(build, 0.0, 0, ("tflite-float32", "tflite-int8"))
        row: Row = {"model": name, "published": published, "published_int8": published_int8, **found}
        row |= _integer_payload(build)
        if corpus is not None and (corpus / file).exists():
            real = mi.inspect(corpus / file)
            row["real_int8_payload"] = _model_bytes(real)
            row["real_int8_size"] = real.artifact.size
            regions = mi.inspect(corpus / file, by=("structure",)).to_dict()["rollup"]["rows"]
            ranges = ("quantization / min", "quantization / max")
            row["real_int8_ranges"] = sum(one["size"] for one in regions if one["values"][0].endswith(ranges))
            row["real_int8_other"] = {
                name: size
                for name, size in real.to_dict()["categories"].items()
                if size and "weights" not in name
            }
        yield row


def t7() -> Iterator[Row]:
    """Yield the clustering table: compressed TFLite files of random weights, plain and with 32 values a
    tensor.
    """
    tables: tuple[tuple[str, dict[str, Any]], ...] = (
        ("MobileNet v1 224", {"plain": 14.97, "clusters": {"32": 4.43}}),
        ("MobileNet v2 224", {"plain": 12.38, "clusters": {"32": 4.05}}),
        ("DS-CNN-L", {"plain": 1.46, "clusters": {"32": 0.39, "8": 0.27}}),
    )
    for name, published in tables:
        row: Row = {
            "model": name,
            "published": published,
            "plain": _converted(TABLES[name], 0.0, 0, ("tflite-float32",)),
        }
        for kind, cluster in (("even", _clustered), ("filled", _equally_filled)):
            row[kind] = {
                count: _converted(TABLES[name], 0.0, int(count), ("tflite-float32",), cluster)
                for count in published["clusters"]
            }
        yield row


Clusterer = Callable[[np.ndarray, int], np.ndarray]


def _converted(
    build: Callable[[Any], Any],
    share: float,
    clusters: int,
    options: tuple[str, ...],
    cluster: Clusterer = _clustered,
) -> Row:
    """Return what the tool predicts of a network's TFLite forms, and their sizes after gzip."""
    keras = _keras()
    keras.backend.clear_session()
    model = build(keras)
    _fill(model, share, clusters, cluster)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.h5"
        model.save(path, include_optimizer=False)
        plan = mi.plan(path, only=options)
        row: Row = {"parameters": model.count_params()}
        for option in plan.options:
            row[option.option] = {
                "size": option.size,
                "gzip": option.download_size,
                "basis": option.basis,
                "error": option.error,
            }
        return row


def _fill(model: Any, share: float, clusters: int, cluster: Clusterer) -> None:
    """Give a network random kernels, pruned or clustered where they are kernels that tfmot would prune."""
    random = np.random.default_rng(SEED)
    for layer in model.layers:
        values = []
        for weight in layer.weights:
            kernel = random.standard_normal(tuple(weight.shape), dtype=np.float32) * np.float32(0.05)
            if "kernel" in weight.name and "depthwise" not in weight.name:
                kernel = _pruned(kernel, share) if share else kernel
                kernel = cluster(kernel, clusters) if clusters else kernel
            values.append(np.abs(kernel) + np.float32(0.5) if "variance" in weight.name else kernel)
        layer.set_weights(values)


def _integer_payload(build: Callable[[Any], Any]) -> Row:
    """Return the bytes of int8 kernels and int32 biases that a full-integer file of a network has, batch
    normalization folded.
    """
    model = build(_keras())
    kernels = biases = 0
    for layer in model.layers:
        for weight in layer.weights:
            if "kernel" in weight.name:
                kernels += int(np.prod(weight.shape))
                depthwise = "depthwise" in weight.name
                biases += int(weight.shape[-2] * weight.shape[-1] if depthwise else weight.shape[-1])
    outputs = sum(layer.units for layer in model.layers if hasattr(layer, "units"))
    return {"int8_payload": kernels + 4 * biases, "dense_outputs": outputs}


def _model_bytes(report: Any) -> int:
    """Return the bytes of the kernels and biases of an inspected TFLite file."""
    return sum(tensor.stored_size for tensor in report.tensors if tensor.role == "weight")


def _corpus() -> Path | None:
    named = os.environ.get("MODELINSPECT_CORPUS")
    return Path(named) if named else None


def _keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tf_keras

    return tf_keras


TESTS: dict[str, Callable[[], Iterator[Row]]] = {
    "T1": t1,
    "T2": t2,
    "T3": t3,
    "T4": t4,
    "T5": t5,
    "T6": t6,
    "T7": t7,
}


def main(arguments: list[str]) -> int:
    """Rebuild, compare, and write the results and the page."""
    results = (
        json.loads(RESULTS.read_text(encoding="utf-8"))
        if RESULTS.is_file()
        else {"versions": {}, "tests": {}}
    )
    if "--page" not in arguments:
        for name in arguments or TESTS:
            results["tests"][name] = list(TESTS[name]())
            results["versions"] = {
                package: version(package) for package in ("tensorflow", "tf_keras", "h5py", "numpy")
            }
            results["tests"] = {key: results["tests"][key] for key in sorted(results["tests"])}
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            print(f"{name}: {len(results['tests'][name])} rows", flush=True)
    published_page.PAGE.write_text(published_page.page(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
