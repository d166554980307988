"""What is fuzzed: a function for each family of work, which any bytes may leave by a `ModelInspectError`
alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from modelinspect.analyses.explain.compare import explain
from modelinspect.analyses.explain.compressed import squeeze
from modelinspect.analyses.lint import lint_artifact, lint_refused
from modelinspect.analyses.plan.base import Planning
from modelinspect.analyses.plan.registry import find_options, option_names
from modelinspect.analyses.summary import list_tensors, summarize, zero_counts
from modelinspect.api.opening import draw, hidden_bytes, measure_files
from modelinspect.core.artifact import Artifact
from modelinspect.errors import LimitError
from modelinspect.formats.listing import list_models
from modelinspect.formats.registry import parse
from modelinspect.measure.equal import digest_equals
from modelinspect.measure.facts import COMPARING, Aspect
from modelinspect.networks.channels.removal import find_removal
from modelinspect.networks.subject import Subject
from modelinspect.renderers.registry import OutputFormat, render
from modelinspect.reports.base import Report
from modelinspect.rules.registry import choose
from modelinspect.sources.files import FileSet
from tests.support.hostile import require_whole

COMPRESSORS = frozenset(
    name for name in option_names() if any(word in name for word in ("gzip", "zstd", "brotli", "deflate"))
)
"""Options that spend their time in a compressor, which is not ours."""
OPTIONS = frozenset(option_names()) - COMPRESSORS
TEXTS = (OutputFormat.TERMINAL, OutputFormat.JSON, OutputFormat.MARKDOWN, OutputFormat.CSV)
RULES = choose((), ())
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class BrokenPromiseError(AssertionError):
    """A report that breaks what it promises: its rows do not add up, or equal inputs differ."""


def fuzz_parse(files: FileSet) -> Artifact:
    """Parse, and hold that every byte is named or a diagnostic says why not."""
    return _parsed(files)


def fuzz_measure(files: FileSet) -> Artifact:
    """Read all weights and the free space; the report's categories sum to the size."""
    artifact = _parsed(files)
    measurements = digest_equals(artifact, files, measure_files(artifact, files), None)
    report = summarize(artifact, measurements, (), None, hidden_bytes(artifact, files))
    total = sum(report.to_dict()["categories"].values())
    if total != artifact.size:
        raise BrokenPromiseError(f"categories sum to {total:,} of {artifact.size:,}")
    return artifact


def fuzz_lint(files: FileSet) -> Artifact | None:
    """List the models, run every rule."""
    list_models(files)
    try:
        artifact = _parsed(files)
    except LimitError as error:
        lint_refused(files, error, RULES)
        return None
    lint_artifact(_subject(artifact, files), RULES)
    return artifact


def fuzz_explain(files: FileSet) -> Artifact:
    """Explain alone, and in comparison with itself, where nothing differs."""
    subject = _subject(_parsed(files), files)
    explain(None, subject, squeeze(None, subject, asked=False))
    same = explain(subject, subject, squeeze(subject, subject, asked=False)).to_dict()
    if same["delta"] or any(cause["delta"] for cause in same["causes"]):
        raise BrokenPromiseError("an artifact differs from itself")
    return subject.artifact


def fuzz_plan(files: FileSet) -> Artifact:
    """Compute every option that needs no compressor."""
    artifact = _parsed(files)
    measurements = measure_files(artifact, files, aspects=(Aspect.ENTROPY, Aspect.VALUES))
    subject = Subject(artifact, measurements, open_files=files, limits=files.limits)
    find_options(Planning(subject, None, OPTIONS, downloads=False))
    return artifact


def fuzz_render(files: FileSet) -> Artifact:
    """Write reports in every text form; no control character of a file reaches a terminal."""
    artifact = _parsed(files)
    measurements = measure_files(artifact, files, aspects=(Aspect.PATTERN,))
    reports: tuple[Report, ...] = (
        summarize(artifact, measurements, (), 20),
        list_tensors(artifact, measurements, 50),
    )
    for report in reports:
        for form in TEXTS:
            out = io.StringIO()
            render(report, form, out)
            if form is OutputFormat.TERMINAL and _CONTROL.search(out.getvalue()):
                raise BrokenPromiseError("a control character reaches the terminal")
    draw(artifact, zero_counts(measurements))
    return artifact


FAMILIES: dict[str, Callable[[FileSet], Artifact | None]] = {
    "parse": fuzz_parse,
    "measure": fuzz_measure,
    "lint": fuzz_lint,
    "explain": fuzz_explain,
    "plan": fuzz_plan,
    "render": fuzz_render,
}
"""What each family does; it returns the artifact that it read, None where there is none."""
LARGEST = {
    "parse": 40_000,
    "measure": 24_000,
    "lint": 24_000,
    "explain": 16_000,
    "plan": 24_000,
    "render": 16_000,
}
"""Bytes of the largest seed of each family: what costs more per byte gets smaller inputs."""


def _parsed(files: FileSet) -> Artifact:
    artifact = parse(files)
    require_whole(artifact, "the input")
    return artifact


def _subject(artifact: Artifact, files: FileSet) -> Subject:
    measurements = measure_files(artifact, files, aspects=COMPARING)
    removal = find_removal(artifact, files, measurements, None)
    hidden = hidden_bytes(artifact, files)
    return Subject(
        artifact, measurements, hidden=hidden, removal=removal, open_files=files, limits=files.limits
    )
