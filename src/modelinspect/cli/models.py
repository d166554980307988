"""Choose one of several models of a folder or an archive."""

from __future__ import annotations

from modelinspect import api
from modelinspect.core.limits import Limits
from modelinspect.core.suggestions import did_you_mean
from modelinspect.errors import UsageError
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
