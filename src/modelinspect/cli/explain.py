"""The command ``explain``."""

from __future__ import annotations

from pathlib import Path

from modelinspect import api
from modelinspect.cli.models import choose_model, model_names
from modelinspect.cli.options import (
    REPORT_FORMS,
    ColorOption,
    CompressorsOption,
    FollowOption,
    ForceOption,
    FormatOption,
    JsonOption,
    LimitOption,
    MeasureOption,
    ModelOption,
    OptionalAfterArgument,
    OutputOption,
    PathArgument,
    QuietOption,
    StrictOption,
    TopOption,
    choose_form,
    limits_of,
)
from modelinspect.cli.output import Color, Destination, require_complete
from modelinspect.cli.progress import progress
from modelinspect.core.limits import Limits
from modelinspect.core.suggestions import did_you_mean
from modelinspect.errors import LocationError

EXAMPLES = """\b
Examples:
  modelinspect explain original.h5 pruned.h5
  modelinspect explain pruned.tflite
  modelinspect explain original.h5 pruned.h5 --format markdown -o why.md
  modelinspect explain original.h5 pruned.h5 --format html -o compare.html
  modelinspect explain dense-zeros
  modelinspect explain dense-zeros pruned.h5
"""


def command(
    path: PathArgument,
    after: OptionalAfterArgument = None,
    model: ModelOption = None,
    top: TopOption = None,
    no_measure: MeasureOption = False,
    compressors: CompressorsOption = None,
    strict: StrictOption = False,
    format: FormatOption = None,
    as_json: JsonOption = False,
    color: ColorOption = Color.AUTO,
    quiet: QuietOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
    limit: LimitOption = None,
    follow: FollowOption = False,
) -> None:
    """Explain the size of a model, or the difference in size between PATH and AFTER: causes, bytes, remedies.

    A word of the reports in place of PATH is explained: a finding, cause, category, option or column. With
    the name of a finding, AFTER is the model to find it in, and its remedy is shown with the whole code.
    """
    form = choose_form(REPORT_FORMS, format, as_json, output)
    sources = (path,) if after is None else (path, after)
    destination = Destination(form, output, force, sources, color=color, quiet=quiet)
    if (
        not Path(path).exists()
        and (found := api.meaning(path, after)) is not None
        and (after is None or found.location is not None)
    ):
        destination.write(found, top)
        return
    limits = limits_of(limit, follow)
    place = _chosen(path, model, limits, is_word=after is None)
    other = (
        None
        if after is None
        else choose_model(after, model if model in model_names(after, limits) else None, limits)
    )
    with progress("reading", quiet=quiet) as meter:
        report = api.explain(
            place,
            other,
            measure=not no_measure,
            compressors=compressors,
            strict=strict,
            limits=limits,
            progress=meter,
            pictures=destination.draws,
        )
    destination.write(report, top)
    require_complete(report.diagnostics)


def _chosen(path: str, model: str | None, limits: Limits | None, *, is_word: bool) -> api.Location:
    """Return the location of the model.

    Raises `LocationError`, which names the word that was meant, if that is close.
    """
    try:
        return choose_model(path, model, limits)
    except LocationError as error:
        from modelinspect.analyses.explain.meaning import names

        suggestion = did_you_mean(path, names()) if is_word else ""
        if not suggestion:
            raise
        raise LocationError(f"{path}: not a file, and not a word that explain knows{suggestion}") from error
