"""Choose one of several models of a folder or an archive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from modelinspect import api
from modelinspect.cli.output import require_complete
from modelinspect.core.artifact import Diagnostic
from modelinspect.core.limits import Limits
from modelinspect.core.suggestions import did_you_mean
from modelinspect.errors import IncompleteError, InvariantError, ModelInspectError, UsageError
from modelinspect.renderers.registry import OutputFormat
from modelinspect.reports.entries import DiagnosticEntry
from modelinspect.reports.lint import LintProblem
from modelinspect.reports.wording import plural

_NAMED = 5


def choose_model(path: str, model: str | None, limits: Limits | None = None) -> api.Location:
    """Return the location of the one model that a command is about.

    Raises `UsageError` where there are several or none of that name.
    """
    found = api.list_models(path, limits)
    if model is not None:
        for place in found.models:
            if place.name == model:
                return place.place
        known = [place.name for place in found.models]
        raise UsageError(
            f"{path}: holds no model {model!r}{did_you_mean(model, known)}"
            if known
            else f"{path}: is one model itself"
        )
    if found.models:
        names = [place.name for place in found.models]
        listed = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
        raise UsageError(
            f"{path}: holds {plural(len(names), 'model')}: {listed}; choose one with --model NAME"
        )
    return path


def model_names(path: str, limits: Limits | None = None) -> tuple[str, ...]:
    """Return the names of the models of a folder or an archive with several."""
    return tuple(place.name for place in api.list_models(path, limits).models)


_Result = TypeVar("_Result")
_PATHS_NAMED = 3
"""Paths that a line names."""


def each(
    paths: Sequence[str], run: Callable[[str], _Result]
) -> tuple[tuple[_Result, ...], tuple[LintProblem, ...]]:
    """Return the results of the paths in order, and the paths that could not be inspected, with the
    reason.
    """
    results: list[_Result] = []
    failed: list[LintProblem] = []
    for path in paths:
        try:
            results.append(run(path))
        except InvariantError:
            raise
        except (ModelInspectError, OSError) as error:
            failed.append(LintProblem(location=path, problem=str(error)))
    return tuple(results), tuple(failed)


def require_one_path(paths: Sequence[str], model: str | None, form: OutputFormat) -> None:
    """Raise `UsageError` where several paths meet an option that is about one."""
    if len(paths) > 1 and model is not None:
        raise UsageError(f"--model chooses a model of one PATH, and there are {len(paths)}")
    if len(paths) > 1 and form in (OutputFormat.MODEL_EXPLORER, OutputFormat.NETRON):
        raise UsageError(f"--format {form} describes the graph of one PATH, and there are {len(paths)}")


def require_inspected(
    count: int, failed: Sequence[LintProblem], diagnostics: Sequence[Diagnostic | DiagnosticEntry] = ()
) -> None:
    """Raise `IncompleteError` where a path of ``count`` was not inspected, or not completely."""
    if failed:
        named = ", ".join(one.location for one in failed[:_PATHS_NAMED])
        more = f" and {len(failed) - _PATHS_NAMED:,} more" if len(failed) > _PATHS_NAMED else ""
        raise IncompleteError(
            f"{len(failed)} of {plural(count, 'path')} could not be inspected: {named}{more}"
        )
    require_complete(diagnostics)
