"""Write the page of published numbers from the results; needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "published.md"
MIB = 1 << 20
Row = dict[str, Any]
_HEAD = """# Compared with published numbers

<!-- Written by benchmarks/accuracy/published.py; do not edit. -->

Others publish how large models are. This page rebuilds such models from their architecture, with random weights, and compares what
modelinspect reports with what was published. Sizes are about how many weights there are and how they are stored, so random weights are
enough, except where a compressor reads them. Rebuilt with {versions}.

| | published by | compared | goal | result |
| --- | --- | --- | --- | --- |
"""  # noqa: E501
_SOURCES = {
    "T1": "the sizes of the files that Keras offers; not looked up again for this page",
    "T2": "quoted; the table of the paper could not be opened for this page, and no second copy of it was"
    " found",
    "T3": "sizes, ratios and numbers of non-zero weights: the same in several public summaries of the paper"
    " and of the earlier paper (arXiv 1506.02626); the shares by layer are quoted; neither paper was opened",
    "T4": "DistilBERT: read in the source of the guide; Gemma3: what the guide prints when it runs, not"
    " looked up again",
    "T5": "read in the guide; all four rows are the same",
    "T6": "the three int8 files and pretrainedResnet in float32: the files themselves were read; the other"
    " two float32 sizes are quoted",
    "T7": "read in the guide; all figures are the same",
}
"""Where the published figures come from and what they were compared with, by test."""


def page(results: Row) -> str:
    """Return the page."""
    tests = results["tests"]
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    rows = "".join(
        f"| [{name}](#{anchor}) | {source} | {compared} | {goal} | {verdict(name, tests[name])} |\n"
        for name, (anchor, source, compared, goal) in SUMMARY.items()
    )
    sections = "\n".join(_filled(section(tests[name])) for name, section in SECTIONS.items())
    return f"{_HEAD.format(versions=versions)}{rows}\n{_filled(_sources())}\n{sections}"


def _sources() -> str:
    rows = (f"| {name} | {source} |" for name, source in _SOURCES.items())
    table = "\n".join(("| | the published figures |", "| --- | --- |", *rows))
    return f"""Where the published figures themselves come from:

{table}

*Equal as printed* in T2 and T3 is therefore about the figures in the tables below, rounded as they are.
"""


def _filled(text: str) -> str:
    """Return a section with its paragraphs filled; tables and headings stay as they are."""
    parts = text.rstrip("\n").split("\n\n")
    return (
        "\n\n".join(
            part if part.startswith(("|", "#")) else fill(" ".join(part.split()), 120, **_FILL)
            for part in parts
        )
        + "\n"
    )


_FILL: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


SUMMARY = {
    "T1": ("weight-files-of-keras", "Keras", "10 weight files", "payload equal to the byte"),
    "T2": (
        "pruned-mobilenet",
        "Zhu and Gupta, 2017",
        "non-zero parameters at 5 sparsities",
        "equal as printed",
    ),
    "T3": (
        "deep-compression",
        "Han, Mao and Dally, 2015",
        "sizes, non-zero weights, the lower bound",
        "equal as printed; the bound is below",
    ),
    "T4": ("int4-in-keras", "Keras, 2025", "2 models in float32 and int4", "within 0.2 %"),
    "T5": ("pruned-int8-files", "tfmot", "2 pruned int8 models", "pruning changes the zip and not the file"),
    "T6": (
        "mlperf-tiny",
        "MLCommons",
        "3 models as TFLite",
        "float within 0.3 %; int8 payload equal, size within 1 %",
    ),
    "T7": ("clustered-files", "tfmot", "3 clustered models, zipped", "none: it depends on the weights"),
}
"""The anchor of each test, who published, what is compared, and the goal."""

PARTS = {"T6": ("float", "int8 payload", "int8 size")}
"""The parts of a goal that are met or missed each on their own."""


def verdict(name: str, rows: Sequence[Row]) -> str:
    """Return whether a test meets its goal; what is missed is named."""
    missed = list(misses(name, rows))
    if not missed:
        return "no goal" if name == "T7" else "met"
    others = [part for part in PARTS.get(name, ()) if not any(f" {part}" in one for one in missed)]
    met = f"met: {', '.join(others)}; " if others else ""
    return f"{met}**missed**: {'; '.join(missed)}"


def misses(name: str, rows: Sequence[Row]) -> Iterator[str]:
    """Yield what a test misses of its goal."""
    for row in rows:
        match name:
            case "T1" if row["payload"] != row["weights"]:
                yield f"{row['file']} payload {row['payload'] - row['weights']:+,}"
            case "T2" if f"{row['non_zero'] / 1e6:.2f}" != row["published"]:
                yield f"{row['sparsity']:.0%}: {row['non_zero']:,}"
            case "T3" if not (
                _as_printed(row) and row["bound"] < 1000 * row["published_kilobytes"] / row["published_ratio"]
            ):
                yield str(row["network"])
            case "T4":
                yield from (
                    f"{row['model']} {kind} {_off(row[kind] / MIB, row[published])}"
                    for kind, published in (("float", "published"), ("int4", "published_int4"))
                    if abs(row[kind] / MIB / row[published] - 1) > 0.002
                )
            case "T5" if not _is_seen_by_the_zip_only(row):
                yield str(row["model"])
            case "T6":
                yield from _tiny_misses(row)


def _as_printed(row: Row) -> bool:
    kilobytes = round(row["payload"] / 1000 / 10) * 10
    return (
        kilobytes == row["published_kilobytes"]
        and f"{row['non_zero_kernels'] / 1000:.0f} K" == row["published_non_zero"]
    )


def _is_seen_by_the_zip_only(row: Row) -> bool:
    plain, pruned = row["plain"]["tflite-dynamic-int8"], row["pruned"]["tflite-dynamic-int8"]
    return bool(plain["size"] == pruned["size"] and pruned["gzip"] < plain["gzip"])


def _tiny_misses(row: Row) -> Iterator[str]:
    if abs(row["tflite-float32"]["size"] / row["published"] - 1) > 0.003:
        yield f"{row['model']} float {_off(row['tflite-float32']['size'], row['published'])}"
    if row["int8_payload"] != row.get("real_int8_payload"):
        yield f"{row['model']} int8 payload"
    if abs(row["tflite-int8"]["size"] / row["published_int8"] - 1) > 0.01:
        yield f"{row['model']} int8 size {_off(row['tflite-int8']['size'], row['published_int8'])}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _off(value: float, published: float) -> str:
    return f"{100 * (value / published - 1):+.2f} %"


def _table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; every column but the first is right-aligned."""
    cells = [f"| {' | '.join(titles)} |", f"| --- |{' ---: |' * (len(titles) - 1)}"]
    cells += [
        f"| {' | '.join(f'{cell:,}' if isinstance(cell, int) else str(cell) for cell in row)} |"
        for row in rows
    ]
    return "\n".join(cells)


def _weight_files(rows: Sequence[Row]) -> str:
    table = _table(
        (
            "file",
            "parameters",
            "their bytes",
            "payload found",
            "other bytes, rebuilt",
            "other bytes, published",
            "difference",
        ),
        (
            (
                f"`{row['file']}`",
                row["parameters"],
                row["weights"],
                row["payload"],
                row["rebuilt"] - row["payload"],
                row["published"] - row["weights"],
                f"{row['rebuilt'] - row['published']:+,}",
            )
            for row in rows
        ),
    )
    names = ("free", "container", "metadata")
    causes = _table(
        ("file", *(f"`{name}`" for name in names)),
        ((f"`{row['file']}`", *(row["other"].get(name, 0) for name in names)) for row in rows),
    )
    (deleted,) = (row for row in rows if "deleted" in row)
    found = deleted["deleted"]
    odd = next((row for row in rows if row["weights"] != 4 * row["parameters"]), None)
    note = ""
    if odd is not None:
        note = (
            f"`{odd['file']}` has {odd['weights'] - 4 * odd['parameters']} bytes more than four for each parameter: the counter of its\n"  # noqa: E501
            "normalization layer is an integer of 8 bytes.\n"
        )
    return f"""## Weight files of Keras

Weight files of [`keras.applications`](https://github.com/keras-team/keras/tree/v2.15.0/keras/applications): `save_weights` of the same
class with `weights=None`. *Payload* is what modelinspect attributes to tensors; *difference* is the rebuilt file less the published one.

{table}

The payload of each rebuilt file is that of the architecture, to the byte. The published files have the same parameters if they are what
their names say; then no byte of a difference is in the weights, except for the deleted layer below. The other bytes
of the rebuilt files, by
category:

{causes}

Of the published files, only the sizes are compared here: how their other bytes divide was not examined.

{note}

### The layer that was deleted and is still there

`{deleted["file"]}` is an exception: the published file has {deleted["published"] - deleted["rebuilt"]:,} bytes more than a file of this
network needs. Its last layer was deleted in place (titu1994/MobileNetworks#2), and HDF5 does not return space. The same with a rebuilt
file: it has {found["before"]:,} bytes with the layer, and {found["after"]:,} after `del file["conv_preds"]`. `modelinspect inspect` reports
{found["free"]:,} bytes ({_share(found["free"], found["after"])}) as `free`, and the finding `hidden-bytes` that {found["hidden"]:,} of them
({_share(found["hidden"], found["after"])}) are not zero: the weights of the deleted layer take {found["layer"]:,}. The rebuilt file
differs from the published one, of {deleted["published"]:,} bytes, by {_off(found["after"], deleted["published"])}.
"""  # noqa: E501


def _pruned_mobilenet(rows: Sequence[Row]) -> str:
    table = _table(
        ("sparsity", "published, millions", "non-zero parameters found", "as printed"),
        (
            (
                f"{100 * row['sparsity']:.0f} %",
                row["published"],
                row["non_zero"],
                f"{row['non_zero'] / 1e6:.2f}",
            )
            for row in rows
        ),
    )
    return f"""## Pruned MobileNet

Non-zero parameters of MobileNet in *To prune, or not to prune* ([arXiv
1710.01878](https://arxiv.org/abs/1710.01878)). Rebuilt: pointwise and
last kernels are pruned by magnitude, the first kernel and the depthwise ones are not; no bias, no batch normalization, 1,001 classes. The
counts are what `modelinspect tensors` reports of the files.

{table}

"""  # noqa: E501


def _deep_compression(rows: Sequence[Row]) -> str:
    table = _table(
        (
            "network",
            "parameters",
            "bytes in float32",
            "published",
            "non-zero weights",
            "published",
            "lower bound",
            "published, compressed",
        ),
        (
            (
                row["network"],
                row["parameters"],
                row["payload"],
                f"{row['published_kilobytes']:,} KB",
                row["non_zero_kernels"],
                row["published_non_zero"],
                row["bound"],
                f"{1000 * row['published_kilobytes'] / row['published_ratio']:,.0f} ({row['published_ratio']}x)",  # noqa: E501
            )
            for row in rows
        ),
    )
    gzipped = ", ".join(f"{row['gzip']:,} ({row['network']})" for row in rows)
    return f"""## Deep Compression

LeNet-300-100 and LeNet-5 of *Deep Compression* ([arXiv 1510.00149](https://arxiv.org/abs/1510.00149)): pruned by
layer, with a codebook for the
rest. *Lower bound* is `entropy-bound` of `modelinspect plan` for the pruned network whose other weights are moved to
evenly spaced values, as
many as the codebook of the paper has. It has to be below what the paper reached with Huffman coding.

{table}

gzip -9 makes {gzipped} bytes of the same files.
"""  # noqa: E501


def _int4(rows: Sequence[Row]) -> str:
    table = _table(
        (
            "model",
            "parameters",
            "float32, MiB",
            "published",
            "",
            "int4, MiB",
            "published",
            "",
            "stayed float",
        ),
        (
            (
                row["model"],
                row["float_parameters"],
                f"{row['float'] / MIB:,.2f}",
                f"{row['published']:,.2f}",
                _off(row["float"] / MIB, row["published"]),
                f"{row['int4'] / MIB:,.2f}",
                f"{row['published_int4']:,.2f}",
                _off(row["int4"] / MIB, row["published_int4"]),
                _share(row["int4_stayed"], row["int4"]),
            )
            for row in rows
        ),
    )
    return f"""## INT4 in Keras

Sizes of `model.weights.h5` in the [guide to INT4 quantization](https://keras.io/guides/int4_quantization_in_keras/).
Rebuilt: files with every
tensor of the architecture in its place and dtype, without weights in them; modelinspect reads their structure.

{table}

*Stayed float* is the share of the int4 file that is still float32 (scales not counted): the embeddings, and in
DistilBERT also the attention.
That is why a model of 4 bits for each kernel element is not an eighth of its size.

DistilBERT is taken as a classifier of two classes, with its dense layer before the last one; the guide does not say which head it has. What
differs is not in the tensors of the architecture: the published files may have other groups, attributes and
variables. They were not examined.
"""  # noqa: E501


def _pruned_int8(rows: Sequence[Row]) -> str:
    lines: list[tuple[object, ...]] = []
    for row in rows:
        for kind in ("plain", "pruned"):
            raw, zipped = row["published"][kind]
            form = row[kind]["tflite-dynamic-int8"]
            lines.append(
                (
                    f"{row['model']}, {kind}",
                    raw,
                    zipped,
                    form["size"],
                    form["gzip"],
                    row[kind]["tflite-int8"]["size"],
                )
            )
    table = _table(
        (
            "model",
            "published, bytes",
            "published, zipped",
            "dynamic-range int8, bytes",
            "gzipped",
            "full-integer int8, bytes",
        ),
        lines,
    )
    saved = "; ".join(
        f"{row['model']} {_off(row['published']['pruned'][1], row['published']['plain'][1])} published, "
        f"{_off(row['pruned']['tflite-dynamic-int8']['gzip'], row['plain']['tflite-dynamic-int8']['gzip'])} rebuilt"  # noqa: E501
        for row in rows
    )
    return f"""## Pruned int8 files

The tables of [collaborative optimization](https://www.tensorflow.org/model_optimization/guide/combine/collaborative_optimization). Rebuilt:
what `modelinspect plan` predicts for a Keras file of the network, and for the same with half of each kernel pruned by magnitude.

{table}

The published table itself shows it: pruning leaves the file as large as it was, and the zip becomes smaller
({saved}). The prediction shows the same.
The gzipped size of full-integer files is not predicted, because their scales depend on samples. The guide says that the published files
have full-integer quantization, and not with which converter; the sizes are therefore not compared to the byte.
"""  # noqa: E501


def _mlperf_tiny(rows: Sequence[Row]) -> str:
    floats = _table(
        ("model", "float32 TFLite, predicted", "published", ""),
        (
            (
                row["model"],
                row["tflite-float32"]["size"],
                row["published"],
                _off(row["tflite-float32"]["size"], row["published"]),
            )
            for row in rows
        ),
    )
    integers = _table(
        (
            "model",
            "int8 payload, architecture",
            "published file",
            "int8 TFLite, predicted",
            "published",
            "",
            "stated error",
        ),
        (
            (
                row["model"],
                row["int8_payload"],
                row.get("real_int8_payload", "-"),
                row["tflite-int8"]["size"],
                row["published_int8"],
                _off(row["tflite-int8"]["size"], row["published_int8"]),
                f"±{100 * (row['tflite-int8']['error'] or 0):.1f} %",
            )
            for row in rows
        ),
    )
    causes = _table(
        (
            "model",
            "difference",
            "ranges, published file only",
            "scales of dense outputs, prediction only",
            "left",
            "",
        ),
        (
            (
                row["model"],
                f"{row['tflite-int8']['size'] - row['published_int8']:+,}",
                f"{-row['real_int8_ranges']:+,}",
                f"{dense_scales(row):+,}",
                f"{left(row):+,}",
                f"{100 * left(row) / row['published_int8']:+.2f} %",
            )
            for row in rows
            if "real_int8_ranges" in row
        ),
    )
    return f"""## MLPerf Tiny

The [reference models](https://github.com/mlcommons/tiny). Rebuilt: what `modelinspect plan` predicts of a Keras file of the same network.

{floats}

Each is within 0.3 % of the published file. The int8 files have the same weights to the byte (kernels in int8, biases in int32). Their sizes as a whole are not
those that TensorFlow 2.21
is predicted to write:

{integers}

No byte of the difference is in the weights. `modelinspect inspect --by structure` finds two causes beside them. The
published files keep the
range (`min` and `max`) of each channel of a kernel, which the predicted file does not have. And dense kernels have one scale each in the
published files, where the prediction has a scale and a zero point ({SCALE_BYTES} bytes) for each output, for the kernel and for the bias:

{causes}

With both, what is left is below 1 %, within the error that the plan states.
"""  # noqa: E501


SCALE_BYTES = 12
"""A float32 scale and an int64 zero point."""


def dense_scales(row: Row) -> int:
    """Return the bytes of a scale for each dense output, of the kernel and of the bias."""
    return int(2 * SCALE_BYTES * row["dense_outputs"])


def left(row: Row) -> int:
    """Return what the two causes leave of the difference in bytes between the predicted int8 file and the
    published one.
    """
    return int(
        row["tflite-int8"]["size"] - dense_scales(row) - (row["published_int8"] - row["real_int8_ranges"])
    )


def _clustered(rows: Sequence[Row]) -> str:
    lines: list[tuple[object, ...]] = []
    for row in rows:
        plain = row["plain"]["tflite-float32"]["gzip"]
        lines.append(
            (f"{row['model']}, plain", f"{row['published']['plain']:.2f}", f"{plain / MIB:.2f}", "", "")
        )
        for count, published in row["published"]["clusters"].items():
            made = [f"{row[kind][count]['tflite-float32']['gzip'] / MIB:.2f}" for kind in ("even", "filled")]
            lines.append((f"{row['model']}, {count} clusters", f"{published:.2f}", "", *made))
    table = _table(
        ("model", "published, MB", "random weights, MiB", "evenly spaced", "equally filled"), lines
    )
    offs = ", ".join(
        _off(row["plain"]["tflite-float32"]["gzip"] / MIB, row["published"]["plain"]) for row in rows
    )
    return f"""## Clustered files

Zipped TFLite files in the guide to [weight clustering](https://www.tensorflow.org/model_optimization/guide/clustering). Rebuilt: what
`modelinspect plan` predicts that gzip -9 makes of the float32 TFLite file.

{table}

The plain files agree ({offs}), read in MiB. How small a clustered file becomes depends on how the weights divide among the clusters, which
only training decides. The two columns are two ways to divide random ones: evenly spaced values, most of which are in a few clusters, and
clusters of the same number of weights. Both put all kernels but those of depthwise layers into clusters. The
published MobileNets are larger
than both. The guide says that all their Conv2D layers were clustered; how their weights divide is not known.
"""  # noqa: E501


SECTIONS = {
    "T1": _weight_files,
    "T2": _pruned_mobilenet,
    "T3": _deep_compression,
    "T4": _int4,
    "T5": _pruned_int8,
    "T6": _mlperf_tiny,
    "T7": _clustered,
}
"""The section of each test."""
