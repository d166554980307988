"""Whether pruning was applied to each kernel: what was reached, what was wanted, and where the zeros are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelinspect.core.bytemap import TensorId
from modelinspect.core.records import dataclass
from modelinspect.core.tensors import Role, Storage, Tensor
from modelinspect.measure.facts import Pattern, TensorMeasure
from modelinspect.networks.channels.removal import Saving
from modelinspect.networks.copies import duplicates
from modelinspect.networks.kernels import input_axis, is_depthwise, output_axis
from modelinspect.networks.names import bare_layer, is_bias
from modelinspect.networks.subject import Subject
from modelinspect.reports.explain import PrunedKernel
from modelinspect.rules.wasteful.masks import Mask, masks

_SOME = 0.2
_SHORT = 0.01
_HARDLY = 0.01
"""Fewer zeros than that are there by chance: pruning did not begin, or was undone."""
_IN_BLOCKS = 0.95
_FULL = 0.5
_UNCONNECTED = "only of this layer: its connections, and whether it is an output of the model, are not known"


def pruned_kernels(context: Subject) -> tuple[PrunedKernel, ...]:
    """Return the model's kernels, the largest first; none where nothing looks pruned and nothing says that it
    should be.
    """
    if context.measurements is None:
        return ()
    groups = duplicates(context)
    again = {group[0]: group[1:] for group in groups}
    copies = {copy for many in again.values() for copy in many}
    first = {id(context.tensor(one)): id(context.tensor(group[0])) for group in groups for one in group}
    of_masks = {first.get(id(mask.weight), id(mask.weight)): mask for mask in masks(context)}
    targets, masked = _targets(context), _masked(context)
    found: list[PrunedKernel] = []
    for index, tensor in enumerate(context.artifact.tensors):
        measure = context.measurements[index]
        if is_bias(context.canonical_name(TensorId(index))) or is_bias(tensor.path):
            continue
        if (
            tensor.role is Role.WEIGHT
            and len(tensor.shape) > 1
            and measure.zero_count is not None
            and index not in copies
        ):
            layers = _layers(tensor)
            known = not masked or any((layer, sorted(tensor.shape)) in masked for layer in layers)
            target = next((targets[layer] for layer in layers if layer in targets), None) if known else None
            name, mask = context.canonical_name(TensorId(index)), of_masks.get(id(tensor))
            channels = _Channels.of(context, [TensorId(index), *again.get(TensorId(index), ())])
            found.append(_kernel(context, name, tensor, measure, target, mask, channels))
    zeros, elements = sum(entry.zeros for entry in found), sum(entry.elements for entry in found)
    if (
        not any(entry.removable for entry in found)
        and not targets
        and not of_masks
        and zeros < _SOME * max(elements, 1)
    ):
        return ()
    return tuple(sorted(found, key=lambda entry: (-entry.elements, entry.tensor)))


@dataclass(frozen=True, slots=True)
class _Channels:
    """What goes with a kernel's dead channels, where the network is known; ``saving`` is None where its layer
    is not followed.

    ``outputs`` are the channels that it no longer makes.
    """

    saving: Saving | None
    outputs: tuple[int, ...]

    @classmethod
    def of(cls, context: Subject, copies: Sequence[TensorId]) -> _Channels | None:
        """Return what goes with a kernel that may be stored several times; None where the network is not
        known.
        """
        if context.removal is None:
            return None
        savings, tensor = context.removal.savings, context.artifact.tensors[copies[0]]
        axis = output_axis(context.artifact, tensor) % len(tensor.shape)
        places = next((context.removal.places[one] for one in copies if one in context.removal.places), {})
        return cls(next((savings[one] for one in copies if one in savings), None), places.get(axis, ()))

    def notes(self, dead: bool, /) -> tuple[str, ...]:
        """Say what must be done beside, and what stays."""
        if self.saving is None:
            return ("its channels stay: connections of its layer are not known",) if dead else ()
        folded = self.saving.folded
        condition = (
            f"removing {folded:,} of them means adding {'its' if folded == 1 else 'their'} constant output to"
            " the next layer's bias"
        )
        return (*((condition,) if folded else ()), *self.saving.kept)


def _kernel(
    context: Subject,
    name: str,
    tensor: Tensor,
    measure: TensorMeasure,
    target: float | None,
    mask: Mask | None,
    channels: _Channels | None,
) -> PrunedKernel:
    zeros = measure.zero_count or 0
    out, into = output_axis(context.artifact, tensor), input_axis(context.artifact, tensor)
    pattern = measure.pattern
    outputs, inputs = (pattern.slices[axis] if pattern else (0, 0) for axis in (out, into))
    if is_depthwise(
        context.artifact, tensor
    ):  # each output has one input, and what lies before the outputs are pixels
        inputs = (0, 1)
    dead = bool(outputs[0] or inputs[0])
    saving = channels.saving if channels is not None else None
    stored = dead and tensor.storage is Storage.DENSE
    notes = channels.notes(stored) if channels is not None else (_UNCONNECTED,) if stored else ()
    removable = (
        _removable(context, tensor, outputs, inputs)
        if channels is None
        else saving.size
        if saving is not None
        else 0
    )
    return PrunedKernel(
        tensor=name,
        layer=tensor.layer,
        elements=tensor.element_count,
        zeros=zeros,
        negative_zeros=measure.negative_zero_count or 0,
        target=target,
        mask_zeros=mask.mask_zeros if mask else None,
        verdict=_verdict(zeros / max(tensor.element_count, 1), zeros, target, mask),
        pattern=(
            ""
            if pattern is None
            else named_pattern(pattern, len(tensor.shape), into, zeros, tensor.element_count)
        ),
        dead_outputs=outputs,
        dead_inputs=inputs,
        removable=removable,
        removable_elsewhere=dict(saving.others) if saving is not None else {},
        removable_outputs=channels.outputs if channels is not None else (),
        removable_notes=notes,
        zero_points=tuple(sorted(set(tensor.quantization.zero_points))) if tensor.quantization else (),
    )


def _removable(context: Subject, tensor: Tensor, outputs: tuple[int, int], inputs: tuple[int, int]) -> int:
    """Return the bytes of dead slices, and of the places of dead outputs in the layer's vectors; none of what
    is not stored in full.

    That is all that can be known where the artifact does not say which layers read the channels.
    """
    if tensor.storage is not Storage.DENSE or not outputs[1] * inputs[1]:
        return 0
    alive = (outputs[1] - outputs[0]) * (inputs[1] - inputs[0])
    size = tensor.stored_size - tensor.stored_size * alive // (outputs[1] * inputs[1])
    beside = (
        other
        for other in context.artifact.tensors
        if tensor.layer is not None and other.layer == tensor.layer
    )
    vectors = (
        other
        for other in beside
        if other.shape == (outputs[1],) and other.role in (Role.WEIGHT, Role.STATISTIC)
    )
    return size + sum(vector.stored_size * outputs[0] // outputs[1] for vector in vectors)


def _verdict(reached: float, zeros: int, target: float | None, mask: Mask | None) -> str:
    """Say in a word or two whether a kernel is as sparse as it should be."""
    if mask is not None and mask.mask_zeros == 0:
        return "not begun"
    if mask is not None and mask.mask_zeros is not None and zeros < mask.mask_zeros:
        return "lost"
    if target is None or (reached < _HARDLY and target > _HARDLY):
        return "yes" if reached >= _SOME else "no"
    return "yes" if reached >= target - _SHORT else "short"


def named_pattern(pattern: Pattern, axes: int, inputs: int, zeros: int, elements: int) -> str:
    """Name the pattern that the zeros keep to, as TFLite lays kernels, outputs by inputs; or single elements.

    Blocks of 1x4 and 1x16, and 2 of 4, lie along the inputs, which sparse kernels read; 4x1, 16x1 and 2 of 4
    outputs lie across them.
    """
    if not zeros:
        return ""
    across = (
        -1 if inputs == -2 else -2 if axes == 2 else None
    )  # of a TFLite convolution, rows of pixels are in between
    axes_named = [(inputs, "inputs")] if across is None else [(across, "outputs"), (inputs, "inputs")]
    for axis, word in axes_named:
        dead, length = pattern.slices[axis]
        if dead * elements // length >= _IN_BLOCKS * zeros:
            return f"whole {word}"
    for axis, word in reversed(axes_named):
        for length in (16, 4):
            if _is_in_blocks(pattern.zero_blocks.get((axis, length)), length, zeros, elements):
                return f"blocks 1x{length}" if word == "inputs" else f"blocks {length}x1"
    for axis, word in reversed(axes_named):
        fours = pattern.two_of_four.get(axis, (0, 0))
        if zeros < elements * 3 // 4 and fours[1] and fours[0] == fours[1]:
            return "2 of 4" if word == "inputs" else "2 of 4 outputs"
    return "single"


def _is_in_blocks(blocks: tuple[int, int] | None, length: int, zeros: int, elements: int) -> bool:
    """Return whether nearly all zeros are in blocks of zeros, and the other blocks are full: few of many are
    so by chance.
    """
    if blocks is None or blocks[0] * length < _IN_BLOCKS * zeros:
        return False
    return elements - zeros >= _FULL * (blocks[1] - blocks[0]) * length


def _masked(context: Subject) -> list[tuple[str, list[int]]]:
    """Return layer and lengths of every kernel that has a mask, in the artifact or the previous one: tfmot
    leaves only others.
    """
    sides = [context] if context.comparison is None else [context, context.comparison.before]
    found = [mask.mask for side in sides for mask in masks(side)]
    return [(layer, sorted(mask.shape)) for mask in found for layer in _layers(mask)]


def _layers(tensor: Tensor) -> list[str]:
    """Return the layer of a tensor, and each that it is within, as configurations name them: a cell is its
    own layer.
    """
    layer = tensor.layer or ""
    return [bare_layer(name) for name in dict.fromkeys((layer, *reversed(layer.split("/"))))]


def _targets(context: Subject) -> dict[str, float]:
    """Return the sparsity that each wrapped layer's schedule ends at, where a configuration is in the
    artifact or the previous one.
    """
    before = context.comparison.before.artifact.facts if context.comparison else {}
    found: dict[str, float] = {}
    for facts in (before, context.artifact.facts):
        fact = facts.get("pruning")
        for entry in fact if isinstance(fact, tuple | list) else ():
            if isinstance(entry, Mapping) and isinstance(target := entry.get("target"), float):
                found[str(entry.get("layer"))] = target
    return found
