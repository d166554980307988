"""Turn what a shrink did into its report."""

from __future__ import annotations

from modelinspect.reports.shrink import ShrinkFile, ShrinkProof, ShrinkReport, ShrinkSide, ShrinkStep
from modelinspect.shrinking.certificate import Record
from modelinspect.shrinking.run import Shrinking


def report(shrinking: Shrinking) -> ShrinkReport:
    """Return the report of a shrink."""
    proof = shrinking.proof
    return ShrinkReport(
        outcome=str(shrinking.outcome),
        before=_side(shrinking.before),
        after=None if shrinking.after is None else _side(shrinking.after),
        written=shrinking.written,
        steps=tuple(
            ShrinkStep(step=str(one.name), level=one.level, saved=one.saved, note=one.note)
            for one in shrinking.steps
        ),
        proof=(
            None
            if proof is None
            else ShrinkProof(
                tensors=proof.tensors,
                equal=proof.equal,
                unread=proof.unread,
                dropped=proof.dropped,
                documents=proof.documents,
                documents_equal=proof.documents_equal,
                documents_changed=proof.documents_changed,
                readers=dict(sorted(proof.witnesses.items())),
                loads_in=tuple(map(str, shrinking.loads_in)),
            )
        ),
        certificate=shrinking.certificate,
        reason=shrinking.reason,
        notes=shrinking.notes,
    )


def _side(record: Record) -> ShrinkSide:
    files = tuple(ShrinkFile(name=file.name, size=file.size, sha256=file.sha256) for file in record.files)
    return ShrinkSide(location=record.location, format=record.format, size=record.size, files=files)
