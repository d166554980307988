"""The command ``study``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from modelinspect.cli.options import QuietOption
from modelinspect.cli.output import write_line
from modelinspect.cli.parameters import Argument, Option

if TYPE_CHECKING:
    from modelinspect.pruning.study_run import Progress

EXAMPLES = """\b
Examples:
  modelinspect study -o study
  modelinspect study recipe.toml -o study --workers 2
  modelinspect study -o releases --releases 2.16,2.18,2.21
"""

Recipe = Annotated[
    Path | None, Argument(metavar="[RECIPE.toml]", help="What to cross; a default recipe without it.")
]
Target = Annotated[
    Path,
    Option(
        "--output", "-o", metavar="DIR", help="Where results are kept; runs that are there are not repeated."
    ),
]
Workers = Annotated[
    int | None,
    Option(min=1, metavar="N", help="Runs at a time.  [default: what processors and memory allow]"),
]
Releases = Annotated[
    str,
    Option(
        metavar="RELEASE[,...]|all",
        help="Do the same under these TensorFlow releases, each in a virtual environment in DIR, by pip.",
    ),
]


def command(
    output: Target,
    recipe: Recipe = None,
    workers: Workers = None,
    releases: Releases = "",
    quiet: QuietOption = False,
) -> None:
    """Prune architectures by schedules, sparsities and patterns, save them in every way, and tabulate every
    size.

    DIR gets cells/ (one result for each run, so a study which was stopped goes on), table.csv, table.parquet
    (with the extra parquet), tables.md and plots/. With --releases: releases/RELEASE/ with cells/ and
    environment/, the tables, and releases.md, which says what the release changes.
    """
    from modelinspect.cli.prune import inspected, terminated_like_interrupted
    from modelinspect.errors import ModelInspectError
    from modelinspect.pruning.releases import choose_releases
    from modelinspect.pruning.study import release_study, study
    from modelinspect.pruning.study_plan import DEFAULT_RECIPE, RELEASES_RECIPE, read_recipe, runs_of

    chosen = choose_releases(releases) if releases else ()
    runs = runs_of(read_recipe(recipe or (RELEASES_RECIPE if chosen else DEFAULT_RECIPE)))
    tell = _ignore if quiet else _tell
    with terminated_like_interrupted():
        if chosen:
            outcome = release_study(runs, chosen, output, inspected, workers=workers, tell=tell)
        else:
            outcome = study(runs, output, inspected, workers=workers, tell=tell)
    for note in () if quiet else outcome.notes:
        write_line(f"modelinspect: {note}", sys.stderr)
    wanted = len(runs) * max(len(chosen), 1)
    tables = output / ("releases.md" if chosen else "tables.md")
    write_line(
        f"{outcome.cell_count:,} cells of {wanted:,} runs: {output / 'table.csv'},"
        f" {tables}\n\n{outcome.tables}",
        sys.stdout,
    )
    if outcome.failed:
        listed = "; ".join(f"{error.key}: {error.reason}" for error in outcome.failed[:3])
        raise ModelInspectError(f"{len(outcome.failed)} of {wanted} runs failed: {listed}")


def _ignore(_progress: Progress) -> None:
    """Show nothing of the progress."""


def _tell(progress: Progress) -> None:
    if sys.stderr.isatty():
        now = progress.kept + progress.done
        failed = f", {progress.failed} failed" if progress.failed else ""
        end = "\n" if now == progress.total else ""
        sys.stderr.write(f"\r{now} of {progress.total} runs{failed} {end}")
        sys.stderr.flush()
