"""Turn what a shrink did into its report, and compare what two artifacts hold, tensor by tensor, whatever
their sizes and encodings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import Artifact
from modelinspect.core.limits import Limits
from modelinspect.reports.content import ContentEntry, ContentReport
from modelinspect.reports.diff import SideEntry
from modelinspect.reports.shrink import ShrinkFile, ShrinkProof, ShrinkReport, ShrinkSide, ShrinkStep
from modelinspect.shrinking.certificate import Record
from modelinspect.shrinking.proof import Content, Contents, contents, documents
from modelinspect.shrinking.run import Shrinking
from modelinspect.sources.files import FileSet


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


def compare(
    before: tuple[Artifact, FileSet], after: tuple[Artifact, FileSet], limits: Limits | None = None
) -> ContentReport:
    """Compare two open artifacts by the names of their tensors. Raises `ModelInspectError`."""
    allowed = limits or Limits()
    old, new = (contents(artifact, files, allowed) for artifact, files in (before, after))
    texts = [documents(artifact, files) for artifact, files in (before, after)]
    differing = tuple(_differences(old, new, _roles(before[0], after[0])))
    unread = [
        name
        for name, one in old.tensors.items()
        if (other := new.get(name)) and (one.digest is None or other[1].digest is None)
    ]
    count = len(old.tensors) + sum(entry.difference == "added" for entry in differing)
    return ContentReport(
        before=_compared_side(before[0]),
        after=_compared_side(after[0]),
        delta=after[0].size - before[0].size,
        tensors=count,
        equal=count - len(differing),
        unread=len(unread),
        differing=differing,
        documents=(texts[0] | texts[1]).total(),
        documents_equal=(texts[0] & texts[1]).total(),
    )


def _differences(old: Contents, new: Contents, roles: Mapping[str, str]) -> Iterator[ContentEntry]:
    for name, one in old.tensors.items():
        match new.get(name):
            case None:
                yield _entry(name, "missing", one, None, roles)
            case _, other if (one.dtype, one.shape) != (other.dtype, other.shape):
                yield _entry(name, "type", one, other, roles)
            case _, other if (
                one.digest != other.digest and one.digest is not None and other.digest is not None
            ):
                yield _entry(name, "elements", one, other, roles)
    for name, other in new.tensors.items():
        if old.get(name) is None:
            yield _entry(name, "added", None, other, roles)


def _entry(
    name: str, difference: str, one: Content | None, other: Content | None, roles: Mapping[str, str]
) -> ContentEntry:
    return ContentEntry(
        tensor=name, difference=difference, role=roles.get(name, ""), before=_form(one), after=_form(other)
    )


def _roles(*artifacts: Artifact) -> dict[str, str]:
    return {
        name: str(tensor.role)
        for one in reversed(artifacts)
        for tensor in one.tensors
        for name in (tensor.path, *tensor.aliases)
    }


def _form(content: Content | None) -> str | None:
    return None if content is None else f"{content.dtype} {'x'.join(map(str, content.shape)) or 'scalar'}"


def _compared_side(artifact: Artifact) -> SideEntry:
    return SideEntry(location=artifact.location, format=str(artifact.format), size=artifact.size)
