"""Hold artifacts against a budget of sizes, and write the locks that growth is measured against."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelinspect.api.opening import Location, list_models, measure_files, opened
from modelinspect.api.showing import shown
from modelinspect.core.artifact import Artifact
from modelinspect.core.limits import Limits

if TYPE_CHECKING:
    from modelinspect.measure.run import Progress
    from modelinspect.reports.check import CheckReport
    from modelinspect.reports.several import CheckAllReport


def check(
    location: Location | Artifact,
    budget: Location | Mapping[str, Any],
    *,
    growth: bool = True,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Check an artifact against a budget: a TOML file, or a table of the same keys.

    Raises `ModelInspectError`.

    Growth is measured against the lock beside the file; ``growth=False`` leaves it out, and so does a table.

    >>> import modelinspect as mi
    >>> report = mi.check("pruned.h5", {"size": "20 kB"})
    >>> report.passed, report.checks[0].actual, report.checks[0].limit
    (False, 25656, 20000)
    """
    from pathlib import Path

    from modelinspect.analyses.budget import check_artifact
    from modelinspect.budgets.file import make_budget, read_budget, read_lock

    if isinstance(budget, Mapping):
        wanted, lock, name = make_budget(budget), None, "budget"
    else:
        wanted, name = read_budget(Path(budget)), os.fspath(budget)
        lock = read_lock(lock_path(budget)) if growth and wanted.growth else None
    with opened(location, limits=limits) as (artifact, files):
        measurements = measure_files(artifact, files, limits=limits, progress=progress)
        return shown(check_artifact(artifact, files, measurements, wanted, lock, name))


def check_models(
    budget: Location,
    only: Sequence[Location] = (),
    *,
    growth: bool = True,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> CheckAllReport:
    """Check every model that a budget of several models names, or of these those in ``only``.

    Raises `UsageError`.

    The budget lists path patterns with limits. Growth is measured against one lock with an entry for each
    model.

    >>> import modelinspect as mi, pathlib
    >>> _ = pathlib.Path("budget.toml").write_text('models = [{ path = "*.h5", size = "30 kB" }]')
    >>> report = mi.check_models("budget.toml")
    >>> report.passed, len(report.reports)
    (True, 2)
    """
    from pathlib import Path

    from modelinspect.analyses.budget import check_artifact
    from modelinspect.budgets.file import (
        find_models,
        models_lock_path,
        read_models,
        read_models_lock,
        relative,
    )
    from modelinspect.errors import InvariantError, ModelInspectError, UsageError
    from modelinspect.reports.lint import LintProblem
    from modelinspect.reports.several import CheckAllReport

    path = Path(budget)
    wanted = read_models(path)
    if wanted is None:
        raise UsageError(f"{path}: has limits of one model; name the model, or list several under [[models]]")
    locks = (
        read_models_lock(models_lock_path(path, wanted))
        if growth and any(one.growth for one in wanted.models)
        else {}
    )
    asked = {relative(location, path.parent) for location in only}
    seen: set[str] = set()
    reports: list[CheckReport] = []
    failed: list[LintProblem] = []
    for one in wanted.models:
        names = find_models(path.parent, one.path)
        if not names and not asked:
            failed.append(LintProblem(location=one.path, problem=f"no model matches this pattern of {path}"))
        for name in (name for name in names if not asked or name in asked):
            seen.add(name)
            try:
                with opened(path.parent / name, limits=limits) as (artifact, files):
                    measurements = measure_files(artifact, files, limits=limits, progress=progress)
                    lock, must = locks.get(name) if growth else None, growth and bool(one.growth)
                    reports.append(
                        check_artifact(
                            artifact, files, measurements, one, lock, str(path), must_be_locked=must
                        )
                    )
            except (InvariantError, UsageError):
                raise
            except (ModelInspectError, OSError) as error:
                failed.append(LintProblem(location=name, problem=str(error)))
    passed = not failed and all(report.passed for report in reports)
    return shown(
        CheckAllReport(
            passed=passed, reports=tuple(reports), failed=tuple(failed), unlisted=tuple(sorted(asked - seen))
        )
    )


def models_lock(budget: Location, reports: Sequence[CheckReport]) -> tuple[Path, str]:
    """Return where the lock of a budget of several models is, and its text: entries of other models stay.

    Raises `UsageError`.
    """
    from pathlib import Path

    from modelinspect.budgets.file import (
        Lock,
        find_models,
        models_lock_path,
        models_lock_text,
        read_models,
        read_models_lock,
        relative,
    )
    from modelinspect.errors import UsageError

    path = Path(budget)
    wanted = read_models(path)
    if wanted is None:
        raise UsageError(f"{path}: has limits of one model")
    place = models_lock_path(path, wanted)
    listed = {name for one in wanted.models for name in find_models(path.parent, one.path)}
    kept = {
        name: lock
        for name, lock in (read_models_lock(place) if place.is_file() else {}).items()
        if name in listed
    }
    now = {
        relative(report.artifact.location, path.parent): Lock(
            "modelinspect.lock/1",
            report.lock.size,
            dict(report.lock.categories),
            dict(report.lock.compressed),
        )
        for report in reports
    }
    return place, models_lock_text(kept | now)


def first_budget(
    locations: Sequence[Location],
    budget: Location,
    *,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> tuple[str, Path, str]:
    """Return a budget for models of today's sizes, where its lock goes, and the lock.

    Raises `ModelInspectError`.

    Of a folder with several models, each is listed.
    """
    from pathlib import Path

    from modelinspect.budgets.file import Lock, budget_text, models_lock_text, relative

    path = Path(budget)
    locks: dict[str, Lock] = {}
    for location in locations:
        inside = list_models(location).models if Path(location).is_dir() else ()
        for place in [Path(location) / one.name for one in inside] or [Path(location)]:
            report = check(place, {"size": 0}, limits=limits, progress=progress)
            locks[relative(place, path.parent)] = Lock(
                "modelinspect.lock/1", report.lock.size, dict(report.lock.categories)
            )
    sizes = sorted((name, lock.size) for name, lock in locks.items())
    return budget_text(sizes), path.with_suffix(".lock"), models_lock_text(locks)


def lock_path(budget: Location) -> Path:
    """Return where the lock of a budget is: where the budget says, or beside it. Raises `UsageError`."""
    from pathlib import Path

    from modelinspect.budgets.file import read_budget

    path = Path(budget)
    named = read_budget(path).lock
    return path.parent / named if named else path.with_suffix(".lock")


def lock_text(report: CheckReport) -> str:
    """Return the lock of the artifact that a report is on, as it is written."""
    from modelinspect.budgets.file import lock_text as text

    return text(report.lock.size, report.lock.categories, report.lock.compressed)
