"""Find programs that were compiled for another processor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import Severity
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.reports.categories import Category
from modelinspect.rules.base import Finding, Rule


def _find(subject: Subject) -> Iterator[Finding]:
    size = subject.sizes.get(Category.COMPILED, 0)
    if not size:
        return
    targets: dict[str, None] = {}
    for entry in subject.artifact.facts.get("compiled_programs", ()):
        if isinstance(entry, Mapping):
            named = " ".join(str(entry.get(key)) for key in ("vendor", "soc") if entry.get(key))
            targets[
                named or f"a processor that the file does not name (operator {entry.get('operator')})"
            ] = None
    message = (
        f"{size:,} bytes ({subject.share(size)}) are a program compiled for"
        f" {', '.join(targets) or 'another processor'}: the weights in it are not read, so zeros and"
        " duplicates are not counted there"
    )
    yield Finding(message, size, advise(Remedy.INSPECT_SOURCE, subject.artifact))


RULE = Rule(
    "compiled-program",
    Severity.NOTE,
    "A compiled program holds its weights in its own form, for one kind of processor.",
    _find,
    example=(
        "200 bytes (20.7 %) are a program compiled for Maker m1234: the weights in it are not read, so zeros"
        " and duplicates are not counted there"
    ),
    remedies=(Remedy.INSPECT_SOURCE,),
)
