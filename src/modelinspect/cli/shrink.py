"""The command ``shrink``."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

from modelinspect import api
from modelinspect.cli.options import (
    REPORT_FORMS,
    ColorOption,
    FollowOption,
    ForceOption,
    FormatOption,
    JsonOption,
    LimitOption,
    QuietOption,
    choose_form,
    limits_of,
)
from modelinspect.cli.output import Color, Destination
from modelinspect.cli.parameters import Argument, Option
from modelinspect.cli.progress import progress
from modelinspect.errors import ModelInspectError, UsageError
from modelinspect.reports.shrink import Outcome, ShrinkAllReport, ShrinkEntry, ShrinkReport

EXAMPLES = """\b
Examples:
  modelinspect shrink model.keras -o small.keras
  modelinspect shrink trained.h5 -o small.h5 --drop training
  modelinspect shrink models/*.h5 --in-place
  modelinspect shrink model.tflite --check
"""

_FAILED = 3
_Paths = Annotated[
    list[str], Argument(metavar="PATH...", help="Model files, folders, or prefixes of checkpoints.")
]
_Output = Annotated[
    Path | None,
    Option(
        "--output",
        "-o",
        metavar="OUT",
        help="The file or folder to write; with several PATHs, a folder that exists.",
    ),
]
_InPlace = Annotated[
    bool,
    Option("--in-place", help="Replace each PATH; it is kept as NAME.orig until its successor is read back."),
]
_Check = Annotated[bool, Option("--check", help="Write nothing; exit with 1 where bytes could be saved.")]
_DryRun = Annotated[bool, Option("--dry-run", help="Do and prove everything, and throw the result away.")]
_Drop = Annotated[
    str,
    Option(
        "--drop",
        metavar="LEVEL[,LEVEL...]",
        help=(
            "Drop more than what changes nothing: training (optimizer, masks, training configuration), names"
            " (debug names), unreachable (nodes that no output needs)."
        ),
    ),
]
_For = Annotated[
    str,
    Option(
        "--for",
        metavar="LOADER[,LOADER...]",
        help="What must load it: keras3, tf_keras, tensorflow, h5py, tflite, tfjs.",
    ),
]
_Level = Annotated[int, Option("--level", min=0, max=9, metavar="0-9", help="How hard to compress.")]
_Precompress = Annotated[
    bool,
    Option(
        "--precompress", help="Of a TensorFlow.js model, also write each file as .gz and .br beside itself."
    ),
]
_Report = Annotated[Path | None, Option("--report", metavar="FILE", help="Write the report to a file.")]


def command(
    paths: _Paths,
    output: _Output = None,
    in_place: _InPlace = False,
    check: _Check = False,
    dry_run: _DryRun = False,
    drop: _Drop = "",
    loaders: _For = "",
    level: _Level = 9,
    precompress: _Precompress = False,
    format: FormatOption = None,
    as_json: JsonOption = False,
    color: ColorOption = Color.AUTO,
    quiet: QuietOption = False,
    report: _Report = None,
    force: ForceOption = False,
    limit: LimitOption = None,
    follow: FollowOption = False,
) -> int:
    """Write a smaller file that loads as before, once it is proved that nothing in it changed."""
    wanted = [
        name
        for name, on in (("--output", output is not None), ("--in-place", in_place), ("--check", check))
        if on
    ]
    wanted += ["--dry-run"] if dry_run else []
    if len(wanted) != 1:
        if not wanted:
            raise UsageError("name the result with -o OUT, or use --in-place, --check or --dry-run")
        raise UsageError(f"{' and '.join(wanted)} exclude each other; use one of them")
    if len(paths) > 1 and output is not None and not output.is_dir():
        raise UsageError(f"{output}: is not a folder; several models go into a folder that exists")
    destination = Destination(
        choose_form(REPORT_FORMS, format, as_json, report), report, force, paths, color=color, quiet=quiet
    )
    limits = limits_of(limit, follow)
    found: list[ShrinkReport | ShrinkEntry] = []
    with _terminated():
        for path in paths:
            target = output / Path(path).name if output is not None and output.is_dir() else output
            with progress(f"shrinking {Path(path).name}", quiet=quiet) as meter:
                try:
                    done = api.shrink(
                        path,
                        target,
                        in_place=in_place,
                        force=force,
                        drop=_names(drop),
                        loaders=_names(loaders),
                        level=level,
                        precompress=precompress,
                        limits=limits,
                        progress=meter,
                    )
                    found.append(done)
                except ModelInspectError as error:
                    if len(paths) == 1 or isinstance(error, UsageError):
                        raise
                    found.append(_failed(path, error))
    return _written(found, destination, check=check, wanted=output is not None or in_place)


def _written(
    found: list[ShrinkReport | ShrinkEntry], destination: Destination, *, check: bool, wanted: bool
) -> int:
    """Write the report and return the exit code; a refusal is a failure where a result was ``wanted``."""
    if len(found) == 1 and isinstance(found[0], ShrinkReport):
        destination.write(found[0])
    else:
        entries = tuple(one.entry() if isinstance(one, ShrinkReport) else one for one in found)
        destination.write(ShrinkAllReport(results=entries))
    if any(isinstance(one, ShrinkEntry) or (wanted and one.outcome == Outcome.REFUSED) for one in found):
        return _FAILED
    return 1 if check and any(one.after is not None for one in found) else 0


def _failed(path: str, error: ModelInspectError) -> ShrinkEntry:
    return ShrinkEntry(
        outcome=Outcome.FAILED,
        before=None,
        after=None,
        written=None,
        steps=(),
        proof=None,
        certificate=None,
        reason="",
        error=f"{path}: {error}",
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


@contextmanager
def _terminated() -> Iterator[None]:
    """Let a request to end remove what is half done, as an interrupt does."""

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
