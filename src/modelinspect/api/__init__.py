"""Open and inspect artifacts: the functions that ``import modelinspect`` offers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from modelinspect.api.checking import check, check_models, first_budget, lock_path, lock_text, models_lock
from modelinspect.api.linting import lint, lint_all
from modelinspect.api.opening import (
    Location,
    draw,
    hidden_bytes,
    list_models,
    measure_files,
    open,
    opened,
    parse_files,
    several,
    side,
    subject_of,
)
from modelinspect.api.showing import shown
from modelinspect.core.artifact import Artifact
from modelinspect.core.limits import Limits

if TYPE_CHECKING:
    from modelinspect.ledger.rollup import Key
    from modelinspect.measure.run import Progress
    from modelinspect.reports.content import ContentReport
    from modelinspect.reports.diff import DiffReport
    from modelinspect.reports.explain import ExplainReport
    from modelinspect.reports.inspect import InspectReport
    from modelinspect.reports.meaning import MeaningReport
    from modelinspect.reports.models import ModelsReport
    from modelinspect.reports.plan import PlanReport
    from modelinspect.reports.shrink import ShrinkReport
    from modelinspect.reports.tensors import TensorsReport

__all__ = [
    "Location",
    "check",
    "check_models",
    "compare_content",
    "diff",
    "draw",
    "explain",
    "first_budget",
    "hidden_bytes",
    "inspect",
    "lint",
    "lint_all",
    "list_models",
    "lock_path",
    "lock_text",
    "meaning",
    "measure_files",
    "models",
    "models_lock",
    "open",
    "opened",
    "parse_files",
    "plan",
    "shrink",
    "side",
    "tensors",
]


def models(location: Location, *, limits: Limits | None = None) -> ModelsReport:
    """List the models of a folder or an archive with several; of a model itself, none.

    Raises `ModelInspectError`.
    """
    from modelinspect.reports.models import ModelEntry, ModelsReport

    found = list_models(location, limits)
    entries = tuple(ModelEntry(name=one.name, format=str(one.format), size=one.size) for one in found.models)
    return shown(ModelsReport(location=os.fspath(location), models=entries, untried=found.untried))


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
    "category", …), ``top`` keeps that many of those rows. ``progress`` receives how many bytes of weights
    were read. ``pictures`` keeps what a page draws: the bytes as a tree, and every region as a ribbon.

    >>> import modelinspect as mi
    >>> report = mi.inspect("pruned.h5")
    >>> report.artifact.size, report.categories.zero_weights
    (25656, 8192)
    """
    from modelinspect.analyses.summary import summarize, zero_counts
    from modelinspect.ledger.rollup import parse_keys
    from modelinspect.measure.equal import digest_equals
    from modelinspect.reports.inspect import with_pictures

    keys = parse_keys(several(by))
    if isinstance(location, Artifact) and not measure:
        report = summarize(location, None, keys, top)
        return shown(with_pictures(report, draw(location)) if pictures else report)
    with opened(location, strict=strict, limits=limits) as (artifact, files):
        measurements = None
        if measure:
            measurements = digest_equals(
                artifact, files, measure_files(artifact, files, limits=limits, progress=progress), limits
            )
        hidden = hidden_bytes(artifact, files, limits=limits) if measure else None
        report = summarize(artifact, measurements, keys, top, hidden)
        return shown(with_pictures(report, draw(artifact, zero_counts(measurements))) if pictures else report)


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
        return shown(list_tensors(location, None, top))
    with opened(location, strict=strict, limits=limits) as (artifact, files):
        aspects = (Aspect.PATTERN,)
        measurements = (
            measure_files(artifact, files, limits=limits, progress=progress, aspects=aspects)
            if measure
            else None
        )
        return shown(list_tensors(artifact, measurements, top))


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

    return shown(
        compare(
            *(
                side(one, measure=measure, strict=strict, limits=limits, progress=progress)
                for one in (before, after)
            )
        )
    )


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

    Every byte of the difference goes to exactly one cause. ``compressors`` runs gzip over both for real, and
    computes what writes zeros in less; None does so where it answers something and takes two or three seconds
    at most. ``pictures`` keeps what a page draws: both artifacts as trees side by side.

    >>> import modelinspect as mi
    >>> mi.explain("original.h5", "pruned.h5").delta
    0
    """
    from modelinspect.analyses.explain.compare import explain as find_causes
    from modelinspect.analyses.explain.compressed import squeeze

    places = [before] if after is None else [before, after]
    with ExitStack() as stack:
        parsed = [stack.enter_context(opened(place, strict=strict, limits=limits)) for place in places]
        sides = [subject_of(*one, measure=measure, limits=limits, progress=progress) for one in parsed]
        old = sides[0] if after is not None else None
        found = squeeze(old, sides[-1], asked=compressors, progress=progress)
        report = find_causes(old, sides[-1], found)
        if not pictures or old is None:
            return shown(report)
        from modelinspect.analyses.comparison import draw_comparison
        from modelinspect.reports.explain import with_comparison

        return shown(with_comparison(report, draw_comparison(old, sides[-1])))


def plan(
    location: Location | Artifact,
    *,
    only: Sequence[str] = (),
    measure: bool = True,
    convert: bool = False,
    tensorflow: str = "",
    downloads: bool = True,
    strict: bool = False,
    seconds: float | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
    found: Callable[[str, int, str], None] | None = None,
) -> PlanReport:
    """Say how small an artifact could be, and how to get there. Raises `ModelInspectError`.

    ``only`` names the options to compute; ``convert`` runs TensorFlow's converter as well, in a separate
    process, and measures its files. ``tensorflow`` is the release whose TFLite files are predicted, such as
    "2.19": by default the newest that was measured, or with ``convert`` the one that is installed.
    Compressors run for real over all bytes, and ``progress`` receives how far they are; with
    ``measure=False`` no weights are read, and what can be known from the structure is left; with
    ``downloads=False`` the gzipped size of each option is left out, which for predicted TFLite forms is most
    of the work. After ``seconds``, no further option is begun and compressors stop; the report says what was
    left out. ``found`` is called with the name, the size and the basis of each option as soon as they are
    known.
    """
    import time

    from modelinspect.analyses.plan.base import Planning
    from modelinspect.analyses.plan.registry import check_names, find_options
    from modelinspect.conversion.releases import NEWEST, release_of
    from modelinspect.measure.facts import Aspect
    from modelinspect.networks.subject import Subject

    wanted = frozenset(several(only))
    check_names(wanted)
    if convert:
        from modelinspect.pruning.converter import installed_release

        release = installed_release(tensorflow)
    else:
        release = release_of(tensorflow) if tensorflow else NEWEST
    deadline = None if seconds is None else time.monotonic() + seconds
    with opened(location, strict=strict, limits=limits) as (artifact, files):
        measurements = (
            measure_files(artifact, files, limits=limits, aspects=(Aspect.ENTROPY, Aspect.VALUES))
            if measure
            else None
        )
        subject = Subject(artifact, measurements, open_files=files, limits=files.limits)
        planning = Planning(
            subject, progress, wanted, deadline=deadline, downloads=downloads, release=release
        )
        if found is not None:
            planning.found = lambda option: found(option.option, option.size, str(option.basis))
        report = find_options(planning)
        if not convert:
            return shown(report)
        from modelinspect.pruning.converter import measure_forms

        return shown(measure_forms(report, subject, Path(artifact.location)))


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
    """Write a smaller file that loads as before, and prove that nothing in it changed.

    Raises `ModelInspectError`.

    The result goes to ``output``, or ``in_place``; with neither, it is made, measured, proved and thrown
    away. Nothing is written unless it is smaller and proved: otherwise ``after`` of the report is None and
    ``reason`` says why. ``drop`` may name ``training`` (optimizer state, masks, wrappers, training
    configuration), ``names`` (debug names) and ``unreachable`` (nodes of a GraphDef). ``loaders`` names the
    programs that must load the result (empty: those that load the input), and ``level`` says how hard to
    compress, from 0 to 9. ``precompress`` writes the files of a TensorFlow.js model also as ``.gz`` and
    ``.br`` beside themselves.

    >>> import modelinspect as mi
    >>> report = mi.shrink("pruned.h5")  # without an output, nothing is written
    >>> report.before.size > 2 * report.after.size
    True
    """
    from pathlib import Path

    from modelinspect.errors import UsageError
    from modelinspect.shrinking.places import Place
    from modelinspect.shrinking.reporting import report
    from modelinspect.shrinking.run import shrink as shrink_artifact
    from modelinspect.shrinking.steps import Drop, Loader, Options

    if output is not None and in_place:
        raise UsageError("give an output or shrink in place, not both")
    if not 0 <= level <= 9:
        raise UsageError(f"level {level}: a level is from 0 to 9")
    try:
        parts, readers = frozenset(map(Drop, several(drop))), frozenset(map(Loader, several(loaders)))
    except ValueError as error:
        known = f"drop may name {', '.join(Drop)}, and loaders {', '.join(Loader)}"
        raise UsageError(f"{error}; {known}") from error
    options = Options(parts, readers, level, precompress)
    place = Place(None if output is None else Path(output), in_place, force)
    return shown(report(shrink_artifact(os.fspath(location), options, place, limits, progress)))


def compare_content(before: Location, after: Location, *, limits: Limits | None = None) -> ContentReport:
    """Say which tensors and documents of two artifacts differ, by name and SHA-256, whatever their sizes.

    Raises `ModelInspectError`.
    """
    from modelinspect.shrinking.reporting import compare

    with opened(before, limits=limits) as old, opened(after, limits=limits) as new:
        return shown(compare(old, new, limits))


def meaning(
    name: str, location: Location | Artifact | None = None, *, limits: Limits | None = None
) -> MeaningReport | None:
    """Return what a word of the reports means: a finding, cause, category, option or column.

    None where it means nothing.

    With a location, the report also has what the rule of that name finds there. Raises `ModelInspectError`.
    """
    from modelinspect.analyses.explain.meaning import in_model, is_rule
    from modelinspect.analyses.explain.meaning import meaning as find_meaning

    found = find_meaning(name)
    if found is None or location is None or not is_rule(name):
        return shown(found)
    return shown(in_model(found, lint(location, select=(name,), limits=limits)))
