"""Finds names of unsafe operators in bytes that could not be read."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.errors import FormatError
from modelinspect.rules.unsafe.base import Located, Place, Subject, UnsafeRule
from modelinspect.rules.unsafe.graphs import named_operators
from modelinspect.rules.unsafe.operator_table import OPERATORS
from modelinspect.rules.unsafe.unread_bytes import unread_spans

_SIZE = 64 << 20


def _find(subject: Subject) -> Iterator[Located]:
    for member in subject.artifact.members:
        left = _SIZE
        for span in unread_spans(member):
            size = min(span.size, left)
            left -= size
            try:
                data = subject.files.open(member.name).read_at(span.offset, size)
            except FormatError:  # it became shorter
                return
            for op, index in named_operators(data):
                message = f"broken bytes name the operator {op}, which {OPERATORS[op][1]}"
                yield Located(message, len(op), "load it only where it can do no harm", Place(member.name, span.offset + index, len(op)))


RULE = UnsafeRule(
    "unread-operator",
    Severity.WARNING,
    "A graph that is broken on purpose hides what it runs from checks.",
    _find,
    remedy="load it only where it can do no harm",
    example="broken bytes name the operator PyFunc, which calls a Python function that the process has registered under a number",
)
