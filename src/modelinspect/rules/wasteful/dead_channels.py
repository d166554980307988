"""Find channels of kernels that hold nothing but zeros, and what the network would save without them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelinspect.core.artifact import FormatName, Severity
from modelinspect.core.tensors import Role, Storage, Tensor
from modelinspect.networks.kernels import output_axis
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import live_channels
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Evidence, Finding, Rule, Threshold

if TYPE_CHECKING:
    from modelinspect.networks.channels.removal import Removal


def _find(subject: Subject) -> Iterator[Finding]:
    if subject.removal is not None:
        yield from _in_network(subject, subject.removal)
        return
    if subject.artifact.format is FormatName.HDF5:  # nothing says that its datasets are kernels
        return
    found: list[tuple[Tensor, int, int]] = []
    for tensor, measure in subject.measured():
        if (
            measure.pattern is None
            or tensor.role is not Role.WEIGHT
            or measure.zero_count == measure.element_count
        ):
            continue
        if (
            tensor.storage is not Storage.DENSE
        ):  # sparse and compressed kernels store next to nothing of their dead channels
            continue
        dead, all_of_them = measure.pattern.slices[output_axis(subject.artifact, tensor)]
        if dead:
            found.append((tensor, dead, all_of_them))
    if not found:
        return
    size = sum(tensor.stored_size * dead // all_of_them for tensor, dead, all_of_them in found)
    tensor, dead, all_of_them = max(found, key=lambda entry: entry[1] / entry[2])
    message = (
        f"{size:,} bytes ({subject.share(size)}) are output channels of zeros only, in"
        f" {plural(len(found), 'kernel')}: {tensor.name} has {dead:,} dead of {all_of_them:,}. The"
        " connections between layers are not known, so the layers that read these channels are not counted"
    )
    found.sort(key=lambda entry: -entry[1] / entry[2])
    yield Finding(message, size, live_channels(subject.artifact, [kernel for kernel, _, _ in found], None))


def _in_network(subject: Subject, removal: Removal) -> Iterator[Finding]:
    """Say what goes with all channels that the network can do without; nothing where it needs them all."""
    size = removal.size
    if not size:
        return
    found = sorted(
        ((saving.size, -tensor, tensor) for tensor, saving in removal.savings.items() if saving.size),
        reverse=True,
    )
    kernels = [subject.artifact.tensors[tensor] for _, _, tensor in found]
    largest, saving = kernels[0], removal.savings[found[0][2]]
    own = sum(saving.own for saving in removal.savings.values())
    out = output_axis(subject.artifact, largest) % len(largest.shape)
    axis = out if saving.gone.get(out) else max(saving.gone, key=lambda one: saving.gone[one])
    folded = sum(saving.folded for saving in removal.savings.values())
    message = (
        f"{size:,} bytes ({subject.share(size)}) can be removed with the dead channels of"
        f" {plural(len(found), 'kernel')}: {own:,} in their layers, {size - own:,} in connected layers;"
        f" {largest.name} has {saving.gone[axis]:,} dead of {largest.shape[axis]:,}"
        f" {'outputs' if axis == out else 'inputs'}"
    )
    if folded:
        message += (
            f"; removing {folded:,} of them means adding their constant output to the next layer's bias"
        )
    yield Finding(message, size, live_channels(subject.artifact, (), removal))


RULE = Rule(
    "dead-channels",
    Severity.NOTE,
    "A channel of zeros can be removed from the model, which no compressor does.",
    _find,
    example=(
        "4,096 bytes (25.0 %) are output channels of zeros only, in 1 kernel: layer_0/kernel has 16 dead of"
        " 64. The connections between layers are not known, so the layers that read these channels are not"
        " counted"
    ),
    remedies=(Remedy.LIVE_CHANNELS, Remedy.LIVE_FILTERS, Remedy.LIVE_NETWORK),
    evidence=(Evidence.VALUES,),
    worth=Threshold(256, 0.01),
)
