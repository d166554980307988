"""Sum up where the bytes of an artifact go and what `shrink` saves at least without any change, and list its
tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelinspect.core.artifact import Artifact, FormatName
from modelinspect.core.tensors import RawPayload, Tensor
from modelinspect.ledger.attribution import Ledger, attribute
from modelinspect.ledger.rollup import Key, roll_up
from modelinspect.measure.facts import Measurements, TensorMeasure
from modelinspect.measure.free import HiddenReport
from modelinspect.networks.copies import duplicates, saved_again
from modelinspect.networks.kernels import input_axis, output_axis
from modelinspect.networks.programs import gradient_copies
from modelinspect.networks.subject import Subject
from modelinspect.networks.widths import sizes_with_helpers, values_in_a_byte, weight_widths
from modelinspect.networks.writers import helpers_of
from modelinspect.remedies.choose import repackable
from modelinspect.reports.categories import AROUND, Category
from modelinspect.reports.entries import (
    DiagnosticEntry,
    LosslessSaving,
    PatternEntry,
    TensorEntry,
    WeightsPart,
    WeightType,
    artifact_entry,
    diagnostic_entry,
    shown_facts,
    tensor_entry,
)
from modelinspect.reports.inspect import (
    InspectReport,
    Rollup,
    StructureRow,
    categories_part,
)
from modelinspect.reports.tensors import Remainder, TensorsReport
from modelinspect.rules.registry import find_all

_STRUCTURES = 50
"""Kinds of structures that a report says; formats that name single objects in paths could have millions."""


def summarize(
    artifact: Artifact,
    measurements: Measurements | None = None,
    by: Sequence[Key] = (),
    top: int | None = None,
    hidden: HiddenReport | None = None,
) -> InspectReport:
    """Say where the bytes go. Without measurements, zeros are unknown and stay within the dense weights.

    ``hidden`` is what was found in free space, None where nobody looked.
    """
    ledger = attribute(artifact, zero_counts(measurements))
    sizes = ledger.category_sizes()
    subject = Subject(artifact, measurements, sizes, hidden)
    return InspectReport(
        artifact=artifact_entry(artifact),
        measured=measurements is not None,
        categories=categories_part(sizes),
        rollup=Rollup(by=tuple(map(str, by)), rows=roll_up(ledger, by, top)) if by else None,
        tensors=_tensors(artifact, measurements),
        weights=_weights(subject),
        lossless_saving=_lossless_saving(subject),
        facts=shown_facts(artifact.facts),
        structures=_structures(ledger),
        findings=find_all(subject),
        diagnostics=_diagnostics(artifact, measurements),
        diagnostic_count=_diagnostic_count(artifact, measurements),
        helpers=helpers_of(artifact),
    )


def list_tensors(
    artifact: Artifact, measurements: Measurements | None = None, top: int | None = None
) -> TensorsReport:
    """List the tensors, or the ``top`` largest of them and the sum of the rest."""
    entries = _tensors(artifact, measurements)
    remainder = None
    if top is not None and len(entries) > top:
        entries = tuple(
            sorted(entries, key=lambda entry: (-entry.stored_size, -entry.logical_size, entry.name))
        )
        rest = entries[top:]
        entries = entries[:top]
        remainder = Remainder(
            count=len(rest),
            stored_size=sum(entry.stored_size for entry in rest),
            logical_size=sum(entry.logical_size for entry in rest),
        )
    return TensorsReport(
        artifact=artifact_entry(artifact),
        measured=measurements is not None,
        tensors=entries,
        remainder=remainder,
        diagnostics=_diagnostics(artifact, measurements),
        diagnostic_count=_diagnostic_count(artifact, measurements),
        helpers=helpers_of(artifact),
    )


def zero_counts(measurements: Measurements | None) -> dict[int, int]:
    """Return the counted zeros by tensor id, as `attribute` takes them."""
    if measurements is None:
        return {}
    return {
        index: measure.zero_count for index, measure in enumerate(measurements.tensors) if measure.zero_count
    }


def _structures(ledger: Ledger) -> tuple[StructureRow, ...]:
    """Return structures other than tensors, by kind of structure, the largest first."""
    rows = roll_up(ledger, (Key.CATEGORY, Key.STRUCTURE))
    found: list[StructureRow] = []
    for row in rows:
        category, structure = row.values or (None, None)
        if category in AROUND and len(found) < _STRUCTURES:
            found.append(
                StructureRow(structure=structure or "", category=str(category), size=row.size, count=row.rows)
            )
    return tuple(found)


def _tensors(artifact: Artifact, measurements: Measurements | None) -> tuple[TensorEntry, ...]:
    sized = tuple(zip(artifact.tensors, sizes_with_helpers(artifact), strict=True))
    if measurements is None:
        return tuple(
            tensor_entry(tensor, packed=values_in_a_byte(tensor), size=size) for tensor, size in sized
        )
    return tuple(
        tensor_entry(
            tensor,
            measure.zero_count,
            measure.negative_zero_count,
            measure.reason,
            _pattern(artifact, tensor, measure),
            packed=values_in_a_byte(tensor),
            size=size,
        )
        for (tensor, size), measure in zip(sized, measurements.tensors, strict=True)
    )


def _weights(subject: Subject) -> WeightsPart:
    found = weight_widths(subject.artifact)
    bits = found.bits_per_weight
    return WeightsPart(
        element_count=found.elements,
        stored_size=found.size,
        bits_per_weight=None if bits is None else round(bits, 4),
        types=tuple(
            WeightType(
                dtype=share.dtype,
                tensors=share.tensors,
                element_count=share.elements,
                stored_size=share.size,
                read_by=share.readers,
            )
            for share in found.types
        ),
        copies=tuple(sorted(map(int, saved_again(subject)))),
    )


def _pattern(artifact: Artifact, tensor: Tensor, measure: TensorMeasure) -> PatternEntry | None:
    """Return where the zeros are.

    Channels, inputs and blocks follow the axes on which the format stores them.
    """
    found = measure.pattern
    if found is None:
        return None
    inputs = input_axis(artifact, tensor)
    return PatternEntry(
        dead_rows=found.dead_rows,
        dead_channels=found.slices[output_axis(artifact, tensor)],
        dead_inputs=found.slices[inputs],
        blocks_4=found.zero_blocks.get((inputs, 4)),
        blocks_16=found.zero_blocks.get((inputs, 16)),
    )


def _diagnostics(artifact: Artifact, measurements: Measurements | None) -> tuple[DiagnosticEntry, ...]:
    found = artifact.diagnostics + (measurements.diagnostics if measurements is not None else ())
    return tuple(diagnostic_entry(diagnostic) for diagnostic in found)


def _diagnostic_count(artifact: Artifact, measurements: Measurements | None) -> int:
    return max(artifact.diagnostic_count, len(artifact.diagnostics)) + (
        len(measurements.diagnostics) if measurements is not None else 0
    )


_OLDEST_LAYOUT = 0
"""The superblock of files in the layout that Keras writes: B-trees, local heaps, contiguous datasets."""
_FILE, _OBJECT = 4_500, 250
"""What the structures of a file that `shrink` wrote take at most, and what each group or dataset adds:
headers and links. `tests/analyses/test_saving.py` compares the estimate with what shrink saves.
"""
_ARCHIVE = 500
"""What the records of a rewritten archive may add, in bytes."""
_SMALLEST, _DATASET = 1024, 300
"""Datasets from this size on are compressed; its chunk and the head of the compressed data take at most so
much.
"""
_WORTH = 0.01
_LEAST = 512


def _lossless_saving(subject: Subject) -> LosslessSaving | None:
    """Return what can be saved at least, None where nothing is known or it is hardly worth a rewrite.

    Nothing is read for it: it follows from the categories, from counted zeros, and from tensors that were
    found to be equal.
    """
    if subject.artifact.diagnostics:
        return None
    match subject.artifact.format:
        case FormatName.KERAS_HDF5 | FormatName.WEIGHTS_HDF5:
            size = _of_hdf5(subject)
        case FormatName.KERAS_ZIP:
            size = _of_archive(subject)
        case FormatName.SAVED_MODEL:
            size = _of_copies(subject)
        case _:
            return None
    if size < max(_LEAST, _WORTH * subject.size):
        return None
    return LosslessSaving(size=size, basis="estimate")


def _of_hdf5(subject: Subject) -> int:
    """Return what is left of structures, unused space and zeros once the file is written again."""
    facts = subject.artifact.facts.get("hdf5")
    if facts is None or not repackable(subject.artifact) or subject.sizes[Category.COMPRESSED_WEIGHTS]:
        return 0
    if _number(facts, "superblock_version") != _OLDEST_LAYOUT or _number(facts.get("bytes"), "trailing"):
        return 0
    objects = _number(facts, "groups") + _number(facts, "datasets")
    around = subject.sizes[Category.CONTAINER] + subject.sizes[Category.FREE]
    return around + _zeros(subject) - _FILE - _OBJECT * objects


def _number(facts: object, key: str) -> int:
    found = facts.get(key) if isinstance(facts, Mapping) else None
    return found if isinstance(found, int) else 0


def _of_copies(subject: Subject) -> int:
    """Return what the tensors take that are stored again, but for copies that a gradient function holds."""
    gradients = subject.once(gradient_copies)
    groups = ([one for one in group if one not in gradients] for group in duplicates(subject))
    return sum(subject.tensor(copy).stored_size for group in groups for copy in group[1:])


def _of_archive(subject: Subject) -> int:
    """Return what deflate takes of an archive whose members are stored as they are."""
    if not _is_one_plain_archive(subject.artifact):
        return 0
    return subject.sizes[Category.FREE] + _zeros(subject) - _ARCHIVE


def _is_one_plain_archive(artifact: Artifact) -> bool:
    return (
        len(artifact.members) == 1 and not artifact.members[0].logical and "wrapped_in" not in artifact.facts
    )


def _zeros(subject: Subject) -> int:
    """Return what deflate takes off the tensors at least: a zero byte costs it one bit, any other nine."""
    if subject.measurements is None:
        return 0
    measured = zip(subject.artifact.tensors, subject.measurements.tensors, strict=True)
    return sum(_deflates_by(tensor, measure) for tensor, measure in measured)


def _deflates_by(tensor: Tensor, measure: TensorMeasure) -> int:
    size = tensor.stored_size
    is_plain = isinstance(tensor.payload, RawPayload) and size == tensor.logical_size
    zeros, negative = measure.zero_count, measure.negative_zero_count
    if not is_plain or size < _SMALLEST or not measure.element_count or zeros is None:
        return 0
    zero_bytes = zeros * size // measure.element_count - (negative or 0)
    return max(0, (7 * zero_bytes - (size - zero_bytes)) // 8 - _DATASET)
