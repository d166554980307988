"""Sum up where the bytes of an artifact go, and list its tensors."""

from __future__ import annotations

from collections.abc import Sequence

from modelinspect.analyses.saving import lossless_saving
from modelinspect.core.artifact import Artifact
from modelinspect.core.tensors import Tensor
from modelinspect.ledger.attribution import Ledger, attribute
from modelinspect.ledger.rollup import Key, roll_up
from modelinspect.measure.facts import Measurements, TensorMeasure
from modelinspect.measure.free import HiddenReport
from modelinspect.networks.copies import saved_again
from modelinspect.networks.kernels import input_axis, output_axis
from modelinspect.networks.subject import Subject
from modelinspect.networks.widths import sizes_with_helpers, values_in_a_byte, weight_widths
from modelinspect.networks.writers import helpers_of
from modelinspect.reports.categories import AROUND
from modelinspect.reports.entries import (
    DiagnosticEntry,
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
        lossless_saving=lossless_saving(subject),
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
