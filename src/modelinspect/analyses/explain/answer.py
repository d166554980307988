"""The answer in a few sentences: why the size changed or did not, what the zeros cost, what is smaller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modelinspect.analyses.explain.compressed import QUICK, Squeezed
from modelinspect.core.artifact import FormatName
from modelinspect.networks.copies import weights_size
from modelinspect.networks.subject import Comparison, Subject
from modelinspect.reports.causes import Cause
from modelinspect.reports.diff import signed
from modelinspect.reports.explain import CauseEntry, Compressed
from modelinspect.reports.plan import OptionEntry
from modelinspect.reports.wording import percent, plural
from modelinspect.rules.wasteful.dense_zeros import WORTH_TELLING, are_zeros_reported, dense_kernels

_MOST = 0.8
_NAMED = 3
_AGAINST = 0.1
_HARDLY = 0.01
_OF_WEIGHTS = frozenset(
    (
        Cause.STRUCTURE_CHANGE,
        Cause.DTYPE_CHANGE,
        Cause.QUANTIZATION,
        Cause.SPARSE_ENCODING,
        Cause.COMPRESSION,
    )
)
_WEIGHTS = frozenset((Cause.STRUCTURE_CHANGE, Cause.SPARSE_ENCODING, Cause.COMPRESSION))
"""The causes that weights have where nothing is compared."""


def answer(context: Subject, delta: int, causes: Sequence[CauseEntry], squeezed: Squeezed) -> tuple[str, ...]:
    """Return the sentences of the answer, a paragraph each."""
    compared, compressed = context.comparison, squeezed.compressed
    said = [_made_of(context, causes) if compared is None else _difference(compared, context, delta, causes)]
    again = compared is not None and compared.before.artifact.location == context.artifact.location
    sparser = _sparser(None if again else compared, context)
    zeros = _zeros(context, compressed, None if again or compressed is None else compressed.before, sparser)
    if zeros:
        said.append(" ".join(filter(None, (zeros, squeezed.note))))
    elif sparser:
        now, elements = context.kernel_zeros()
        said.append(f"{percent(now, elements)} of the kernel elements are zero{sparser}.")
    if not zeros and compressed is not None and not again:
        said.append(_download(compressed))
    smaller = "; ".join(_forms(context.artifact.format, squeezed.options))
    if smaller:
        said.append(f"Smaller forms: {smaller}.")
    return tuple(said)


def _made_of(context: Subject, causes: Sequence[CauseEntry]) -> str:
    """Say how much of one artifact its weights are, and what most of the rest is."""
    size = context.artifact.size
    weights = sum(entry.delta for entry in causes if entry.cause in _WEIGHTS)
    rest = [entry for entry in causes if entry.cause not in _WEIGHTS and entry.delta > 0]
    what, whole = _main_causes(rest, 1, number="{:,}"), plural(size, "byte")
    if not weights:
        return f"There are no weights in it. Its {whole} are {what}." if rest else f"It is empty: {whole}."
    said = f"The weights are {weights:,} of {whole} ({percent(weights, size)})"
    return f"{said}. The rest is {what}." if rest else f"{said}."


def _difference(compared: Comparison, after: Subject, delta: int, causes: Sequence[CauseEntry]) -> str:
    """Say why two artifacts differ in size, or why they do not."""
    if not causes:
        return _no_difference(compared, after)
    if not delta:
        ups, downs = (
            [f"{entry.cause} ({signed(entry.delta)})" for entry in causes if (entry.delta > 0) is up]
            for up in (True, False)
        )
        return (
            f"Same size, by coincidence: {_listed(ups[:_NAMED])} {'offsets' if len(ups) == 1 else 'offset'}"
            f" {_listed(downs[:_NAMED])}."
        )
    size = compared.before.artifact.size
    share = (
        f"{1 + delta / max(size, 1):,.1f} times as large" if delta > size else _signed_percent(delta, size)
    )
    change = f"{plural(abs(delta), 'byte')} {'larger' if delta > 0 else 'smaller'} ({share})"
    hardly = "almost the same size: " if abs(delta) <= _HARDLY * size else ""
    said = f"{hardly}{change}, {_main_causes(causes, delta, 'because of ')}."
    against = next((entry for entry in causes if (entry.delta > 0) is (delta < 0)), None)
    if against is not None and abs(against.delta) >= _AGAINST * abs(delta):
        said += f" Partly offset by {against.cause} ({signed(against.delta)})."
    is_same = 0 < weights_size(compared.before) == weights_size(after)
    if is_same and not any(_is_of_weights(entry) for entry in causes):
        said += " The weights take the same space as before."
    return said[0].upper() + said[1:]


def _signed_percent(delta: int, size: int) -> str:
    """Return a change as a percentage with its sign; one that rounds to nothing has no sign."""
    is_tiny = 2_000 * abs(delta) < size
    return f"{'' if is_tiny else '+' if delta > 0 else '-'}{percent(abs(delta), size)}"


def _is_of_weights(entry: CauseEntry) -> bool:
    """Return whether a cause changes what weights take; TFLite also stores that one is not quantized."""
    return entry.cause in _OF_WEIGHTS and any(place.tensor is not None for place in entry.evidence)


def _main_causes(causes: Sequence[CauseEntry], delta: int, because: str = "", number: str = "{:+,}") -> str:
    """Name the causes that make most of a difference."""
    same = [entry for entry in causes if (entry.delta > 0) is (delta > 0)]
    whole = sum(entry.delta for entry in same)
    named: list[str] = []
    reached = 0
    for entry in same[:_NAMED]:
        named.append(f"{entry.cause} ({number.format(entry.delta)})")
        reached += entry.delta
        if abs(reached) >= _MOST * abs(whole):
            break
    return ("" if len(named) == len(same) else "mainly ") + because + _listed(named)


def _no_difference(compared: Comparison, after: Subject) -> str:
    before = compared.before
    if before.artifact.location == after.artifact.location:
        return "Same size: both are the same file."
    same = "Same size, because"
    if before.measurements is None or after.measurements is None:
        return (
            f"{same} every tensor and every structure takes the same space in both. Their contents were not"
            " compared."
        )
    zeros, elements = before.kernel_zeros()
    now, elements_now = after.kernel_zeros()
    if compared.compared and compared.equal == compared.compared:
        sparse = (
            f", and {percent(now, elements_now)} of the kernel elements are zero in both"
            if now >= WORTH_TELLING * elements_now
            else ""
        )
        return (
            f"{same} the weights are the same: all {plural(compared.compared, 'tensor')} have equal"
            f" elements{sparse}."
        )
    if now > zeros and now >= WORTH_TELLING * elements_now:
        return (
            f"{same} a zero is stored like any other number: {percent(zeros, elements)} of the kernel"
            f" elements were zero before, {percent(now, elements_now)} are now, and each takes the same"
            " space."
        )
    return (
        f"{same} both store tensors of the same types and shapes, and the space they take does not depend on"
        f" their values ({compared.equal:,} of {plural(compared.compared, 'tensor')} have equal elements)."
    )


def _sparser(compared: Comparison | None, after: Subject) -> str:
    """Say how many of the kernels' elements were zero before, where those were more than now: training fills
    zeros in.
    """
    if compared is None or not any(True for _ in after.kernels()):
        return ""
    zeros, elements = compared.before.kernel_zeros()
    now, elements_now = after.kernel_zeros()
    if zeros < WORTH_TELLING * elements or zeros * elements_now <= (now + _HARDLY * elements_now) * elements:
        return ""
    return f" ({percent(zeros, elements)} before)"


def _zeros(context: Subject, compressed: Compressed | None, before: int | None, sparser: str) -> str:
    """Say how many zeros are stored one by one, and what a compressor makes of them; nothing where there are
    few.
    """
    kernels = dense_kernels(context)
    if not are_zeros_reported(context, kernels):
        return ""
    said = (
        f"{percent(kernels.zeros, kernels.elements)} of the kernel elements are zero{sparser},"
        f" {kernels.stored}: {kernels.size:,} bytes"
    )
    if compressed is None:
        return f"{said}."
    zeros = (
        ""
        if compressed.zeros_compressed is None
        else f"the zeros take {compressed.zeros_compressed:,} bytes and "
    )
    takes = "takes " if compressed.zeros_compressed is None else ""
    said += (
        f". Compressed with {_tool(compressed)}, {zeros}the whole file"
        f" {takes}{compressed.after:,}{'' if zeros else ' bytes'}"
    )
    return said + (f" (before: {before:,})." if before is not None else ".")


def _download(compressed: Compressed) -> str:
    if compressed.before is None:
        return f"Compressed with {_tool(compressed)}, it takes {compressed.after:,} bytes."
    if compressed.before == compressed.after:
        return f"Compressed with {_tool(compressed)}, both take {compressed.after:,} bytes."
    return (
        f"Compressed with {_tool(compressed)}, it takes {compressed.after:,} bytes (before:"
        f" {compressed.before:,})."
    )


def _tool(compressed: Compressed) -> str:
    """Return the command; its usual level is not said."""
    return "gzip" if compressed.compressor == f"gzip-{QUICK}" else compressed.compressor.replace("-", " -")


def _forms(format: FormatName, options: Sequence[OptionEntry]) -> Iterator[str]:
    """Yield what writes zeros in less, and the bytes that it takes."""
    sizes = {entry.option: entry for entry in options if entry.delta < 0 or entry.option == "tflite-float32"}
    for name, way in _WAYS.items():
        if name in sizes:
            yield f"{way}: {sizes[name].size:,} bytes"
    sparse, dense = sizes.get("tflite-sparse"), sizes.get("tflite-float32")
    if sparse is not None:
        error = "" if sparse.error is None else f", an estimate within {_percentage(sparse.error)}"
        without = "" if dense is None or format is FormatName.TFLITE else f" (dense TFLite: {dense.size:,})"
        yield f"sparse TFLite: {sparse.size:,} bytes{without}{error}"


def _percentage(share: float) -> str:
    """Return a share as it was stated, without zeros at its end."""
    return f"{100 * share:.2g} %"


_WAYS = {
    "hdf5-gzip": "compressed HDF5, which Keras still loads",
    "zip-deflate": "compressed .keras, which Keras still loads",
}


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""
