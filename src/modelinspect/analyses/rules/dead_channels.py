"""Finds channels of kernels that hold nothing but zeros."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.analyses.kernels import output_axis
from modelinspect.analyses.remedies import Remedy
from modelinspect.analyses.remedies.choose import live_channels
from modelinspect.analyses.rules.base import Context, Finding, Rule, plural
from modelinspect.core.artifact import Severity
from modelinspect.core.tensors import Role, Storage, Tensor


def _find(context: Context) -> Iterator[Finding]:
    found: list[tuple[Tensor, int, int]] = []
    for tensor, measure in context.measured():
        if measure.pattern is None or tensor.role is not Role.WEIGHT or measure.zero_count == measure.element_count:
            continue
        if tensor.storage is not Storage.DENSE:  # sparse and compressed kernels store next to nothing of their dead channels
            continue
        dead, all_of_them = measure.pattern.slices[output_axis(context.artifact, tensor)]
        if dead:
            found.append((tensor, dead, all_of_them))
    if not found:
        return
    size = sum(tensor.stored_size * dead // all_of_them for tensor, dead, all_of_them in found)
    tensor, dead, all_of_them = max(found, key=lambda entry: entry[1] / entry[2])
    message = (
        f"{size:,} bytes ({context.share(size)}) are output channels of zeros alone, in {plural(len(found), 'kernel')}: "
        f"{tensor.name} has {dead:,} dead of {all_of_them:,}"
    )
    found.sort(key=lambda entry: -entry[1] / entry[2])
    yield Finding(message, size, live_channels(context.artifact, [kernel for kernel, _, _ in found]))


RULE = Rule(
    "dead-channels",
    Severity.NOTE,
    "A channel of zeros can be removed from the model, which no compressor does.",
    _find,
    example="32 bytes (25.0 %) are output channels of zeros alone, in 1 kernel: layer_0/kernel has 1 dead of 4",
    remedies=(Remedy.LIVE_CHANNELS, Remedy.LIVE_FILTERS),
)
