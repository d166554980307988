"""Find unsafe and wasteful content in one artifact or in many."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelinspect.api.opening import Location, list_models, parse_files, several, subject_of
from modelinspect.api.showing import shown
from modelinspect.core.artifact import Artifact
from modelinspect.core.limits import Limits
from modelinspect.sources.files import ModelIn
from modelinspect.sources.opening import open_location

if TYPE_CHECKING:
    from modelinspect.measure.run import Progress
    from modelinspect.reports.lint import LintAllReport, LintReport
    from modelinspect.rules.base import Rule


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

    ``select`` and ``ignore`` choose rules: ids, patterns, or the groups ``unsafe`` and ``wasteful``. An
    artifact that exceeds the limits is a finding, not an error. ``measure=False`` reads no weights, and rules
    that need them find nothing. Of a folder or an archive, every model is looked at.

    >>> import modelinspect as mi
    >>> [finding.rule for finding in mi.lint("pruned.h5").findings][:1]
    ['dense-zeros']
    """
    from modelinspect.analyses.lint import lint_refused, lint_several
    from modelinspect.errors import LimitError, ModelInspectError, UnknownFormatError
    from modelinspect.rules.registry import choose

    chosen = choose(several(select), several(ignore))
    if isinstance(location, Artifact | ModelIn):
        return _lint_one(location, chosen, measure=measure, limits=limits, progress=progress)
    try:
        found = list_models(location, limits)
    except LimitError as error:
        with open_location(location, limits) as files:
            return shown(lint_refused(files, error, chosen))
    if not (found.models or found.archives or found.untried or found.only):
        return _lint_one(location, chosen, measure=measure, limits=limits, progress=progress)
    looked: list[tuple[str, bool, LintReport | ModelInspectError]] = []
    for place in (*found.models, *((found.only,) if found.only is not None else ())):
        try:
            report: LintReport | ModelInspectError = _lint_one(
                place.place, chosen, measure=measure, limits=limits, progress=progress
            )
        except (LimitError, ModelInspectError) as error:
            report = error
        looked.append((place.name, place.place.is_archived, report))
    if not looked:
        looked.append(
            (".", True, _lint_one(location, chosen, measure=measure, limits=limits, progress=progress))
        )
    for place in found.archives:
        try:
            looked.append(
                (
                    place.name,
                    place.place.is_archived,
                    lint(place.place, select=select, ignore=ignore, measure=measure, limits=limits),
                )
            )
        except UnknownFormatError:  # an archive of something else
            continue
        except ModelInspectError as error:
            looked.append((place.name, place.place.is_archived, error))
    if len(looked) == 1 and not found.untried and not isinstance(looked[0][2], ModelInspectError):
        return looked[0][2]
    return shown(lint_several(os.fspath(location), looked, found.untried, chosen))


def _lint_one(
    location: Location | Artifact,
    rules: Sequence[Rule],
    *,
    measure: bool,
    limits: Limits | None,
    progress: Progress | None,
) -> LintReport:
    from modelinspect.analyses.lint import lint_artifact, lint_refused
    from modelinspect.errors import LimitError

    place = location.location if isinstance(location, Artifact) else location
    with open_location(place, limits) as files:
        try:
            artifact = location if isinstance(location, Artifact) else parse_files(files, limits=limits)
        except LimitError as error:
            return shown(lint_refused(files, error, rules))
        return shown(
            lint_artifact(
                subject_of(artifact, files, measure=measure, limits=limits, progress=progress), rules
            )
        )


def lint_all(
    locations: Sequence[Location],
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    measure: bool = True,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> LintAllReport:
    """Do as `lint` does for several locations; one that cannot be inspected is in the report.

    Raises `UsageError` for unknown rules.
    """
    from modelinspect.errors import InvariantError, ModelInspectError, UsageError
    from modelinspect.reports.lint import LintAllReport, LintProblem

    reports: list[LintReport] = []
    failed: list[LintProblem] = []
    for location in several(locations):
        try:
            reports.append(
                lint(
                    location, select=select, ignore=ignore, measure=measure, limits=limits, progress=progress
                )
            )
        except (InvariantError, UsageError):
            raise
        except (ModelInspectError, OSError) as error:
            failed.append(LintProblem(location=os.fspath(location), problem=str(error)))
    return shown(LintAllReport(reports=tuple(reports), failed=tuple(failed)))
