"""Open and inspect artifacts: the functions that ``import modelinspect`` offers."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from modelinspect.core.artifact import Artifact
from modelinspect.core.limits import Limits
from modelinspect.sources.files import FileSet, ModelIn
from modelinspect.sources.opening import open_location

if TYPE_CHECKING:
    from modelinspect.analyses.rollup import Key
    from modelinspect.formats.listing import ModelList
    from modelinspect.measure.facts import Aspect, Measurements
    from modelinspect.measure.free import HiddenReport
    from modelinspect.measure.run import Progress
    from modelinspect.networks.subject import Subject
    from modelinspect.reports.check import CheckReport
    from modelinspect.reports.content import ContentReport
    from modelinspect.reports.diff import DiffReport
    from modelinspect.reports.explain import ExplainReport
    from modelinspect.reports.inspect import InspectReport
    from modelinspect.reports.lint import LintAllReport, LintReport
    from modelinspect.reports.meaning import MeaningReport
    from modelinspect.reports.models import ModelsReport
    from modelinspect.reports.pictures import Pictures
    from modelinspect.reports.plan import PlanReport
    from modelinspect.reports.shrink import ShrinkReport
    from modelinspect.reports.tensors import TensorsReport
    from modelinspect.rules.base import Rule

_Report = TypeVar("_Report")

Location = str | os.PathLike[str]
"""A file, a directory or a checkpoint prefix."""


def open(location: Location, *, strict: bool = False, limits: Limits | None = None) -> Artifact:
    """Parse an artifact: members, byte maps, tensors. No weights are read and nothing stays open.

    With ``strict``, trouble that would become a diagnostic is raised. Raises `ModelInspectError`.

    >>> import modelinspect as mi
    >>> artifact = mi.open("pruned.h5")
    >>> artifact.format, artifact.size, len(artifact.tensors)
    (<FormatName.KERAS_HDF5: 'keras-hdf5'>, 25656, 4)
    """
    with open_location(location, limits) as files:
        return parse_files(files, strict=strict, limits=limits)


def models(location: Location, *, limits: Limits | None = None) -> ModelsReport:
    """List the models of a folder or an archive with several; of a model itself, none. Raises `ModelInspectError`."""
    from modelinspect.reports.models import ModelEntry, ModelsReport

    found = list_models(location, limits)
    entries = tuple(ModelEntry(name=one.name, format=str(one.format), size=one.size) for one in found.models)
    return show_anywhere(ModelsReport(location=os.fspath(location), models=entries, untried=found.untried))


def list_models(location: Location, limits: Limits | None = None) -> ModelList:
    """Return the models of a folder or an archive with several, each with the location that opens it. Raises `ModelInspectError`."""
    from modelinspect.formats.listing import list_models as find

    with open_location(location, limits) as files:
        return find(files, limits)


def inspect(
    location: Location | Artifact,
    *,
    measure: bool = True,
    strict: bool = False,
    limits: Limits | None = None,
    by: Sequence[Key | str] = (),
    top: int | None = None,
    progress: Progress | None = None,
    pictures: bool = False,
) -> InspectReport:
    """Say where the bytes of an artifact go. Raises `ModelInspectError`.

    ``measure=False`` reads no weights, and zeros are unknown. ``by`` rolls the bytes up by any keys ("layer",
    "category", …), ``top`` keeps that many of those rows. ``progress`` receives how many bytes of weights were read.
    ``pictures`` keeps what a page draws: the bytes as a tree, and every region as a ribbon.

    >>> import modelinspect as mi
    >>> report = mi.inspect("pruned.h5")
    >>> report.artifact.size, report.categories.zero_weights
    (25656, 8192)
    """
    from modelinspect.analyses.rollup import parse_keys
    from modelinspect.analyses.summary import summarize, zero_counts
    from modelinspect.measure.equal import digest_equals
    from modelinspect.reports.inspect import with_pictures

    keys = parse_keys(by)
    if isinstance(location, Artifact) and not measure:
        report = summarize(location, None, keys, top)
        return show_anywhere(with_pictures(report, draw(location)) if pictures else report)
    with opened(location, strict=strict, limits=limits) as (artifact, files):
        measurements = None
        if measure:
            measurements = digest_equals(artifact, files, measure_files(artifact, files, limits=limits, progress=progress), limits)
        hidden = hidden_bytes(artifact, files, limits=limits) if measure else None
        report = summarize(artifact, measurements, keys, top, hidden)
        return show_anywhere(with_pictures(report, draw(artifact, zero_counts(measurements))) if pictures else report)


def tensors(
    location: Location | Artifact,
    *,
    measure: bool = True,
    strict: bool = False,
    limits: Limits | None = None,
    top: int | None = None,
    progress: Progress | None = None,
) -> TensorsReport:
    """List the tensors of an artifact, the ``top`` largest or all of them. Raises `ModelInspectError`.

    >>> import modelinspect as mi
    >>> [(tensor.name, tensor.shape, tensor.zero_count) for tensor in mi.tensors("pruned.h5", top=1).tensors]
    [('dense/kernel', (10, 128), 1024)]
    """
    from modelinspect.analyses.summary import list_tensors
    from modelinspect.measure.facts import Aspect

    if isinstance(location, Artifact) and not measure:
        return show_anywhere(list_tensors(location, None, top))
    with opened(location, strict=strict, limits=limits) as (artifact, files):
        aspects = (Aspect.PATTERN,)
        measurements = measure_files(artifact, files, limits=limits, progress=progress, aspects=aspects) if measure else None
        return show_anywhere(list_tensors(artifact, measurements, top))


def diff(
    before: Location | Artifact,
    after: Location | Artifact,
    *,
    measure: bool = True,
    strict: bool = False,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> DiffReport:
    """Say what differs between two artifacts, by category, layer and tensor. Raises `ModelInspectError`.

    With ``measure=False`` no weights are read, and whether elements differ stays unknown.

    >>> import modelinspect as mi
    >>> report = mi.diff("original.h5", "pruned.h5")
    >>> report.delta, report.categories["zero-weights"]
    (0, 8192)
    """
    from modelinspect.analyses.diff import diff as compare

    return show_anywhere(compare(*(side(one, measure=measure, strict=strict, limits=limits, progress=progress) for one in (before, after))))


def explain(
    before: Location | Artifact,
    after: Location | Artifact | None = None,
    *,
    measure: bool = True,
    compressors: bool | None = None,
    strict: bool = False,
    limits: Limits | None = None,
    progress: Progress | None = None,
    pictures: bool = False,
) -> ExplainReport:
    """Say why two artifacts differ in size or do not, or why one has its size. Raises `ModelInspectError`.

    Every byte of the difference goes to exactly one cause. ``compressors`` runs gzip over both for real, and computes what writes zeros
    in less; None does so where it answers something and takes two or three seconds at most. ``pictures`` keeps what a page draws:
    both artifacts as trees side by side.

    >>> import modelinspect as mi
    >>> mi.explain("original.h5", "pruned.h5").delta
    0
    """
    from modelinspect.analyses.explain.compare import explain as find_causes
    from modelinspect.analyses.explain.compressed import squeeze

    places = [before] if after is None else [before, after]
    with ExitStack() as stack:
        parsed = [stack.enter_context(opened(place, strict=strict, limits=limits)) for place in places]
        sides = [_subject(*one, measure=measure, limits=limits, progress=progress) for one in parsed]
        old = sides[0] if after is not None else None
        found = squeeze(old, sides[-1], asked=compressors, progress=progress)
        report = find_causes(old, sides[-1], found)
        if not pictures or old is None:
            return show_anywhere(report)
        from modelinspect.analyses.comparison import draw_comparison
        from modelinspect.reports.explain import with_comparison

        return show_anywhere(with_comparison(report, draw_comparison(old, sides[-1])))


def draw(artifact: Artifact, zeros: Mapping[int, int] | None = None) -> Pictures:
    """Draw the bytes of an artifact; ``zeros`` are the counted zero elements by tensor id."""
    from modelinspect.analyses.pictures import draw as draw_all

    return draw_all(artifact, zeros)


def lint(
    location: Location | Artifact,
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    measure: bool = True,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> LintReport:
    """Find unsafe and wasteful content, executing nothing of it. Raises `ModelInspectError`.

    ``select`` and ``ignore`` choose rules: ids, patterns, or the groups ``unsafe`` and ``wasteful``. An artifact that
    exceeds the limits is a finding, not an error. ``measure=False`` reads no weights, and rules that need them find nothing.
    Of a folder or an archive, every model is looked at.

    >>> import modelinspect as mi
    >>> [finding.rule for finding in mi.lint("pruned.h5").findings][:1]
    ['dense-zeros']
    """
    from modelinspect.analyses.lint import lint_refused, lint_several
    from modelinspect.errors import LimitError, ModelInspectError, UnknownFormatError
    from modelinspect.rules.registry import choose

    chosen = choose(select, ignore)
    if isinstance(location, Artifact | ModelIn):
        return _lint_one(location, chosen, measure=measure, limits=limits, progress=progress)
    try:
        found = list_models(location, limits)
    except LimitError as error:
        with open_location(location, limits) as files:
            return show_anywhere(lint_refused(files, error, chosen))
    if not (found.models or found.archives or found.untried or found.only):
        return _lint_one(location, chosen, measure=measure, limits=limits, progress=progress)
    looked: list[tuple[str, bool, LintReport | ModelInspectError]] = []
    for place in (*found.models, *((found.only,) if found.only is not None else ())):
        try:
            report: LintReport | ModelInspectError = _lint_one(place.place, chosen, measure=measure, limits=limits, progress=progress)
        except (LimitError, ModelInspectError) as error:
            report = error
        looked.append((place.name, place.place.is_archived, report))
    if not looked:
        looked.append((".", True, _lint_one(location, chosen, measure=measure, limits=limits, progress=progress)))
    for place in found.archives:
        try:
            looked.append(
                (place.name, place.place.is_archived, lint(place.place, select=select, ignore=ignore, measure=measure, limits=limits))
            )
        except UnknownFormatError:  # an archive of something else
            continue
        except ModelInspectError as error:
            looked.append((place.name, place.place.is_archived, error))
    if len(looked) == 1 and not found.untried and not isinstance(looked[0][2], ModelInspectError):
        return looked[0][2]
    return show_anywhere(lint_several(os.fspath(location), looked, found.untried, chosen))


def _lint_one(
    location: Location | Artifact, rules: Sequence[Rule], *, measure: bool, limits: Limits | None, progress: Progress | None
) -> LintReport:
    from modelinspect.analyses.lint import lint_artifact, lint_refused
    from modelinspect.errors import LimitError

    place = location.location if isinstance(location, Artifact) else location
    with open_location(place, limits) as files:
        try:
            artifact = location if isinstance(location, Artifact) else parse_files(files, limits=limits)
        except LimitError as error:
            return show_anywhere(lint_refused(files, error, rules))
        return show_anywhere(lint_artifact(_subject(artifact, files, measure=measure, limits=limits, progress=progress), rules))


def lint_all(
    locations: Sequence[Location],
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    measure: bool = True,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> LintAllReport:
    """Do as `lint` does for several locations; one that cannot be inspected is in the report. Raises `UsageError` for unknown rules."""
    from modelinspect.errors import InvariantError, ModelInspectError, UsageError
    from modelinspect.reports.lint import LintAllReport, LintProblem

    reports: list[LintReport] = []
    failed: list[LintProblem] = []
    for location in locations:
        try:
            reports.append(lint(location, select=select, ignore=ignore, measure=measure, limits=limits, progress=progress))
        except (InvariantError, UsageError):
            raise
        except (ModelInspectError, OSError) as error:
            failed.append(LintProblem(location=os.fspath(location), problem=str(error)))
    return show_anywhere(LintAllReport(reports=tuple(reports), failed=tuple(failed)))


def plan(
    location: Location | Artifact,
    *,
    only: Sequence[str] = (),
    measure: bool = True,
    convert: bool = False,
    downloads: bool = True,
    strict: bool = False,
    seconds: float | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> PlanReport:
    """Say how small an artifact could be, and how to get there. Raises `ModelInspectError`.

    ``only`` names the options to compute; ``convert`` runs TensorFlow's converter as well, in a separate process, and measures its files.
    Compressors run for real over all bytes, and ``progress`` receives how far they are; with ``measure=False`` no weights are read, and
    what can be known from the structure is left; with ``downloads=False`` the gzipped size of each option is left out, which for
    predicted TFLite forms is most of the work. After ``seconds``, no further option is begun and compressors stop; the report says what
    was left out.
    """
    import time

    from modelinspect.analyses.plan.base import Planning
    from modelinspect.analyses.plan.registry import check_names, find_options
    from modelinspect.measure.facts import Aspect
    from modelinspect.networks.subject import Subject

    wanted = frozenset(only)
    check_names(wanted)
    deadline = None if seconds is None else time.monotonic() + seconds
    with opened(location, strict=strict, limits=limits) as (artifact, files):
        measurements = measure_files(artifact, files, limits=limits, aspects=(Aspect.ENTROPY, Aspect.VALUES)) if measure else None
        subject = Subject(artifact, measurements, open_files=files, limits=files.limits)
        report = find_options(Planning(subject, progress, wanted, deadline=deadline, downloads=downloads))
        if not convert:
            return show_anywhere(report)
        from modelinspect.pruning.converter import measure_forms

        return show_anywhere(measure_forms(report, subject, Path(artifact.location)))


def shrink(
    location: Location,
    output: Location | None = None,
    *,
    in_place: bool = False,
    force: bool = False,
    drop: Sequence[str] = (),
    loaders: Sequence[str] = (),
    level: int = 9,
    precompress: bool = False,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> ShrinkReport:
    """Write a smaller file that loads as before, and prove that nothing in it changed. Raises `ModelInspectError`.

    The result goes to ``output``, or ``in_place``; with neither, it is made, measured, proved and thrown away. Nothing is
    written unless it is smaller and proved: otherwise ``after`` of the report is None and ``reason`` says why. ``drop`` may
    name ``training`` (optimizer state, masks, wrappers, training configuration), ``names`` (debug names) and
    ``unreachable`` (nodes of a GraphDef). ``loaders`` names the programs that must load the result (empty: those that load
    the input), and ``level`` says how hard to compress, from 0 to 9. ``precompress`` writes the files of a TensorFlow.js model
    also as ``.gz`` and ``.br`` beside themselves.

    >>> import modelinspect as mi
    >>> report = mi.shrink("pruned.h5")  # without an output, nothing is written
    >>> report.before.size > 2 * report.after.size
    True
    """
    from pathlib import Path

    from modelinspect.errors import UsageError
    from modelinspect.shrinking.reporting import report
    from modelinspect.shrinking.run import Place
    from modelinspect.shrinking.run import shrink as shrink_artifact
    from modelinspect.shrinking.steps import Drop, Loader, Options

    if output is not None and in_place:
        raise UsageError("give an output or shrink in place, not both")
    if not 0 <= level <= 9:
        raise UsageError(f"level {level}: a level is from 0 to 9")
    try:
        options = Options(frozenset(map(Drop, drop)), frozenset(map(Loader, loaders)), level, precompress)
    except ValueError as error:
        known = ", ".join([*Drop, *Loader])
        raise UsageError(f"{error}; known are {known}") from error
    place = Place(None if output is None else Path(output), in_place, force)
    return show_anywhere(report(shrink_artifact(os.fspath(location), options, place, limits, progress)))


def compare_content(before: Location, after: Location, *, limits: Limits | None = None) -> ContentReport:
    """Say which tensors and documents of two artifacts differ, by name and SHA-256, whatever their sizes. Raises `ModelInspectError`."""
    from modelinspect.shrinking.comparing import compare

    with opened(before, limits=limits) as old, opened(after, limits=limits) as new:
        return show_anywhere(compare(old, new, limits))


def meaning(name: str, location: Location | Artifact | None = None, *, limits: Limits | None = None) -> MeaningReport | None:
    """Return what a word of the reports means: a finding, cause, category, option or column. None where it means nothing.

    With a location, the report also has what the rule of that name finds there. Raises `ModelInspectError`.
    """
    from modelinspect.analyses.explain.meaning import in_model, is_rule
    from modelinspect.analyses.explain.meaning import meaning as find_meaning

    found = find_meaning(name)
    if found is None or location is None or not is_rule(name):
        return show_anywhere(found)
    return show_anywhere(in_model(found, lint(location, select=(name,), limits=limits)))


def check(
    location: Location | Artifact,
    budget: Location | Mapping[str, Any],
    *,
    growth: bool = True,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Check an artifact against a budget: a TOML file, or a table of the same keys. Raises `ModelInspectError`.

    Growth is measured against the lock beside the file; ``growth=False`` leaves it out, and so does a table.

    >>> import modelinspect as mi
    >>> report = mi.check("pruned.h5", {"size": "20 kB"})
    >>> report.passed, report.checks[0].actual, report.checks[0].limit
    (False, 25656, 20000)
    """
    from pathlib import Path

    from modelinspect.analyses.budget import check_artifact
    from modelinspect.analyses.budget_file import make_budget, read_budget, read_lock

    if isinstance(budget, Mapping):
        wanted, lock, name = make_budget(budget), None, "budget"
    else:
        wanted, name = read_budget(Path(budget)), os.fspath(budget)
        lock = read_lock(lock_path(budget)) if growth and wanted.growth else None
    with opened(location, limits=limits) as (artifact, files):
        measurements = measure_files(artifact, files, limits=limits, progress=progress)
        return show_anywhere(check_artifact(artifact, files, measurements, wanted, lock, name))


def lock_path(budget: Location) -> Path:
    """Return where the lock of a budget is: where the budget says, or beside it. Raises `UsageError`."""
    from pathlib import Path

    from modelinspect.analyses.budget_file import read_budget

    path = Path(budget)
    named = read_budget(path).lock
    return path.parent / named if named else path.with_suffix(".lock")


def lock_text(report: CheckReport) -> str:
    """Return the lock of the artifact that a report is on, as it is written."""
    from modelinspect.analyses.budget_file import lock_text as text

    return text(report.lock.size, report.lock.categories, report.lock.compressed)


def side(
    location: Location | Artifact,
    *,
    measure: bool = True,
    strict: bool = False,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Subject:
    """Open an artifact and measure what a comparison needs. Raises `ModelInspectError`."""
    with opened(location, strict=strict, limits=limits) as (artifact, files):
        return _subject(artifact, files, measure=measure, limits=limits, progress=progress)


def _subject(artifact: Artifact, files: FileSet, *, measure: bool, limits: Limits | None, progress: Progress | None) -> Subject:
    from modelinspect.measure.facts import COMPARING
    from modelinspect.measure.run import measure as measure_all
    from modelinspect.networks.channels.removal import find_removal
    from modelinspect.networks.subject import Subject

    if not measure:
        return Subject(artifact, open_files=files, limits=files.limits)
    measurements = measure_all(artifact, files, limits, progress, COMPARING)
    hidden, removal = hidden_bytes(artifact, files, limits=limits), find_removal(artifact, files, measurements, limits)
    return Subject(artifact, measurements, hidden=hidden, removal=removal, open_files=files, limits=files.limits)


def parse_files(files: FileSet, *, strict: bool = False, limits: Limits | None = None) -> Artifact:
    """Parse an artifact whose files are open. Raises `ModelInspectError`."""
    from modelinspect.formats.registry import parse

    return parse(files, limits, strict=strict)


def measure_files(
    artifact: Artifact,
    files: FileSet,
    *,
    limits: Limits | None = None,
    progress: Progress | None = None,
    aspects: Collection[Aspect] = (),
) -> Measurements:
    """Read the weights of an artifact whose files are open. Raises `ModelInspectError`."""
    from modelinspect.measure.run import measure

    return measure(artifact, files, limits, progress, aspects)


def hidden_bytes(artifact: Artifact, files: FileSet, *, limits: Limits | None = None) -> HiddenReport:
    """Look for bytes that are not zero in the free space of an artifact whose files are open. Raises `ModelInspectError`."""
    from modelinspect.measure.free import find_hidden

    return find_hidden(artifact, files, limits)


@contextmanager
def opened(location: Location | Artifact, *, strict: bool = False, limits: Limits | None = None) -> Iterator[tuple[Artifact, FileSet]]:
    """Open an artifact and keep its files open, to read bytes of them. Raises `ModelInspectError`."""
    place = location.location if isinstance(location, Artifact) else location
    with open_location(place, limits) as files:
        yield location if isinstance(location, Artifact) else parse_files(files, strict=strict, limits=limits), files


def show_anywhere(report: _Report) -> _Report:
    """Let a notebook show reports as pages and ``print`` as text: reports know no renderer, so the way to one is set here."""
    from modelinspect.reports.base import Notebook

    Notebook.draw = _notebook_page
    Notebook.write = _terminal_text
    return report


def _terminal_text(report: Any) -> str:
    """Return what the command line shows of a report on a terminal of 80 columns, without colors."""
    from io import StringIO

    from modelinspect.renderers.registry import OutputFormat, render

    out = StringIO()
    render(report, OutputFormat.TERMINAL, out)
    return out.getvalue().removesuffix("\n")


def _notebook_page(report: Any) -> str | None:
    """Return a report as a page in a frame, None where the report shows nothing.

    A report on one artifact without pictures gets them from the artifact, if it is still there and as large: parsing it
    reads no weights, and the zeros are in the report.
    """
    from modelinspect.errors import ModelInspectError
    from modelinspect.renderers.html.page import framed, page
    from modelinspect.reports.inspect import InspectReport, with_pictures

    if type(report) is InspectReport:
        try:
            artifact = open(report.artifact.location)
            if artifact.size == report.artifact.size and len(artifact.tensors) == len(report.tensors):
                zeros = {index: entry.zero_count for index, entry in enumerate(report.tensors) if entry.zero_count}
                report = with_pictures(report, draw(artifact, zeros))
        except (ModelInspectError, OSError):
            pass  # the page does without
    if not hasattr(report, "blocks"):
        return None
    return framed(page(report))
