"""Run the command line; an error is one line and an exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from modelinspect.cli.commands import ARGUMENTS, PROGRAM
from modelinspect.cli.quick import plain_command
from modelinspect.errors import InvariantError, LocationError, ModelInspectError, SelectionError, UsageError

CLEAN, FINDINGS, USAGE, FAILED, INTERRUPTED = 0, 1, 2, 3, 130
_ENDING_SIGNALS = ("SIGTERM", "SIGHUP")
_BY_SIGNAL = 128
_COMPLETION = "_MODELINSPECT_COMPLETE"
_WIDEST = 100
_YOUNG = 100_000
"""New objects before Python looks for cycles: what is known of an artifact are many objects and no cycle."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code: 0 clean, 1 findings, 2 usage, 3 could not inspect."""
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _discard_output()
        return CLEAN
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except (SelectionError, UsageError) as error:
        _complain(str(error))
        return USAGE
    except InvariantError as error:
        _complain(f"{error}; this is a bug in modelinspect, please report it with the file")
        return FAILED
    except ModelInspectError as error:
        _complain(f"{error}{_next_step(error)}")
        return FAILED
    except MemoryError:
        _complain("not enough memory; --no-measure needs less")
        return FAILED
    except OSError as error:
        _complain(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
        return FAILED


def entry() -> NoReturn:
    """Run the command line as its own process and end it with the exit code.

    An interrupt that Python meets while it executes text, as it does when it makes a dataclass, ends the
    process by the signal even though it was handled; so after an interrupt the process ends at once.
    """
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
    for name in _ENDING_SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    try:
        code = main()
    except EndedError as ended:
        _complain(f"ended by {signal.Signals(ended.number).name}")
        code = ended.number + _BY_SIGNAL
    if code == INTERRUPTED:
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


class EndedError(BaseException):
    """A signal asked the process to end: what is half written is taken away on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _end(number: int, frame: object) -> NoReturn:
    """Leave by an exception, so temporary files are taken away; a second signal ends the process at once."""
    signal.signal(number, signal.SIG_DFL)
    raise EndedError(number)


def _run(arguments: list[str]) -> int:
    ARGUMENTS.set(tuple(arguments))
    plain = None if _COMPLETION in os.environ else plain_command(arguments)
    if plain is None:
        return _run_with_typer(arguments)
    function, values = plain
    with _with_standard_input(arguments):
        code = function(**values)
    return code if isinstance(code, int) else CLEAN


def _run_with_typer(arguments: list[str]) -> int:
    import typer

    from modelinspect.cli.app import app, fitting

    usage_error, click_error = click_errors()
    group = fitting(typer.main.get_command(app))
    if _COMPLETION in os.environ:
        group.main(args=arguments, prog_name=PROGRAM)
    try:
        with (
            group.make_context(PROGRAM, arguments, terminal_width=_width()) as context,
            _with_standard_input(arguments),
        ):
            code = group.invoke(context)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        raise KeyboardInterrupt from None
    except click_error as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(str(error))
            return USAGE
        inner = getattr(error, "ctx", None)
        program = inner.command_path if isinstance(error, usage_error) and inner is not None else PROGRAM
        message: str = error.format_message()
        _complain(f"{message.rstrip('.')}; see {program} --help")
        return USAGE
    return code if isinstance(code, int) else CLEAN


@contextmanager
def _with_standard_input(arguments: Sequence[str]) -> Iterator[None]:
    """Read standard input where an argument is ``-``. Raises `UsageError` where it cannot be read."""
    places = [
        index
        for index, argument in enumerate(arguments)
        if argument == "-" and arguments[index - 1] not in _OUTPUTS
    ]
    if not places:
        yield
        return
    from modelinspect.sources.opening import standard_input

    if len(places) > 1:
        raise UsageError("- is standard input, which can be read once; name the other files")
    if sys.stdin.isatty():
        raise UsageError(
            "- reads a model from standard input, and that is a terminal; use: modelinspect - < MODEL"
        )
    with standard_input(sys.stdin.buffer):
        yield


_OUTPUTS = ("-o", "--output", "--report", "--files-from")
"""Options whose value is not a model to read."""


def _width() -> int:
    """Return the columns that help may fill: Click itself would go below 50 for no terminal."""
    import shutil

    from modelinspect.renderers.look import NARROWEST, USUAL

    return min(max(shutil.get_terminal_size((USUAL, 24)).columns, NARROWEST), _WIDEST) - 2


def click_errors() -> tuple[type[Any], type[Any]]:
    """Return Click's errors of usage and of anything; newer Typers bring their own Click."""
    import typer

    _, usage, anything, *_ = typer.BadParameter.__mro__
    return usage, anything


def _complain(problem: str) -> None:
    """Write one line on the error stream; names from files cannot steer the terminal."""
    from modelinspect.renderers.escape import ascii_only, plain

    line = f"{PROGRAM}: {plain(problem)}"
    encoding = (sys.stderr.encoding or "").lower().replace("-", "")
    sys.stderr.write(f"{line if encoding == 'utf8' else ascii_only(line)}\n")


def _next_step(error: ModelInspectError) -> str:
    """Say which file could have been meant where the one that was named is missing."""
    cause = error.__cause__
    if not (isinstance(error, LocationError) and isinstance(cause, FileNotFoundError) and cause.filename):
        return ""
    from difflib import get_close_matches
    from pathlib import Path

    path = Path(cause.filename)
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except OSError:
        return f"; there is no folder {path.parent}"
    close = get_close_matches(path.name, names, 1)
    return f"; did you mean {path.with_name(close[0])}?" if close else ""


def _discard_output() -> None:
    """Send what is still to be written nowhere: the reader has gone."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
