"""Find sparse fully connected weights whose pattern no sparse kernel takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import Severity
from modelinspect.core.tensors import Storage, Tensor
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy
from modelinspect.remedies.choose import block_of, pruned_in_blocks
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Rule, Threshold
from modelinspect.rules.wasteful.densify_present import densified


def _find(subject: Subject) -> Iterator[Finding]:
    expanded = set(densified(subject))
    blocks = _block_shapes(subject)
    missed: list[tuple[Tensor, int]] = []
    for tensor in subject.artifact.tensors:
        if tensor.storage is not Storage.SPARSE or len(tensor.shape) != 2 or tensor.path not in expanded:
            continue
        wanted = block_of(tensor)
        if blocks.get(tensor.path, ()) != (wanted,):
            missed.append((tensor, wanted))
    if not missed:
        return
    size = sum(tensor.stored_size for tensor, _ in missed)
    tensor, wanted = max(missed, key=lambda pair: pair[0].stored_size)
    stored = blocks.get(tensor.path, ())
    found = f"in blocks of {'×'.join(map(str, stored))}" if stored else "without blocks"
    matrices = plural(len(missed), "sparse matrix", "sparse matrices")
    message = (
        f"{matrices} of fully connected layers with a pattern that no sparse kernel of TFLite runs:"
        f" {tensor.name} is stored {found}, the sparse kernel needs blocks of 1×{wanted}"
    )
    missed.sort(key=lambda pair: -pair[0].stored_size)
    yield Finding(message, size, pruned_in_blocks(subject.artifact, (each for each, _ in missed)))


def _block_shapes(subject: Subject) -> dict[str, tuple[int, ...]]:
    fact = subject.artifact.facts.get("sparse_tensors")
    entries = fact if isinstance(fact, tuple | list) else ()
    shapes: dict[str, tuple[int, ...]] = {}
    for entry in entries:
        if isinstance(entry, Mapping):
            shape = entry.get("block_shape")
            shapes[str(entry.get("name"))] = (
                tuple(int(str(length)) for length in shape) if isinstance(shape, tuple | list) else ()
            )
    return shapes


RULE = Rule(
    "block-mismatch",
    Severity.NOTE,
    "TFLite runs sparse fully connected layers in blocks of 1×4 (float) or 1×16 (int8) only.",
    _find,
    example=(
        "1 sparse matrix of fully connected layers with a pattern that no sparse kernel of TFLite runs:"
        " fc/kernel is stored without blocks, the sparse kernel needs blocks of 1×4"
    ),
    remedies=(
        Remedy.PRUNE_BLOCKS,
        Remedy.CONVERT_DENSE,
        Remedy.CONVERT_DENSE_NARROW,
        Remedy.CONVERT_DENSE_HALF,
    ),
    worth=Threshold(256, 0.01),
)
