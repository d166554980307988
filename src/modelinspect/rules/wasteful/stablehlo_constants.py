"""Find weights that are constants of a StableHLO program."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import FormatName, Severity
from modelinspect.networks.programs import gradient_copies, programs
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, advise
from modelinspect.reports.wording import plural
from modelinspect.rules.base import Finding, Rule

LEAST = 1_024
"""Bytes below which frozen weights are not worth a word: biases, tables of an operation."""


def _find(subject: Subject) -> Iterator[Finding]:
    if subject.artifact.format is not FormatName.SAVED_MODEL:  # only a program has nowhere else to keep them
        return
    copies = subject.once(gradient_copies)
    held = [
        (program, [index for index in program.weights if index not in copies])
        for program in subject.once(programs)
    ]
    held = [(program, weights) for program, weights in held if weights]
    weights = [index for _, several in held for index in several]
    size = sum(subject.tensor(index).stored_size for index in weights)
    if size < LEAST:
        return
    message = (
        f"{size:,} bytes ({subject.share(size)}) of {plural(len(weights), 'weight')} are constants of"
        f" {plural(len(held), 'StableHLO program')}, not variables: they cannot be trained or restored, and"
        " the program's message cannot exceed 2 GiB"
    )
    yield Finding(message, size, advise(Remedy.PASS_VARIABLES, subject.artifact))


RULE = Rule(
    "stablehlo-constants",
    Severity.NOTE,
    "Weights that a function captures become constants of its program, once for each program that uses them.",
    _find,
    example=(
        "4,096 bytes (28.3 %) of 1 weight are constants of 1 StableHLO program, not variables: they cannot be"
        " trained or restored, and the program's message cannot exceed 2 GiB"
    ),
    remedies=(Remedy.PASS_VARIABLES,),
)
