"""What the options and arguments of a command are, and their form for Typer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin, get_type_hints


class BadValueError(ValueError):
    """The text of an option cannot be read; the message says why."""


class Parameter:
    """An option or an argument of a command: the metadata of its annotation.

    ``metavar`` stands for its value in help; ``parser`` reads the value and raises `BadValueError`; ``min``
    and ``max`` bound it.
    """

    __slots__ = ("help", "max", "metavar", "min", "names", "parser")

    def __init__(
        self,
        *names: str,
        help: str,
        metavar: str | None = None,
        parser: Callable[[str], Any] | None = None,
        min: int | None = None,
        max: int | None = None,
    ) -> None:
        self.names = names
        self.help = help
        self.metavar = metavar
        self.parser = parser
        self.min = min
        self.max = max


class Option(Parameter):
    """An option, by its names: without any, its name is that of the parameter."""

    __slots__ = ()


class Argument(Parameter):
    """An argument, by its place."""

    __slots__ = ()


def declared(function: Callable[..., Any]) -> list[tuple[inspect.Parameter, Any, Any]]:
    """Return the parameters of a command, each with its type and its `Option` or `Argument`."""
    hints = get_type_hints(function, include_extras=True)
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints[name]
        kind, info, *_ = get_args(hint) if get_origin(hint) is Annotated else (hint, None)
        found.append((parameter, kind, info))
    return found


def for_typer(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with its parameters declared as Typer reads them."""

    def command(**values: Any) -> Any:
        return function(**values)

    parameters = [
        parameter.replace(
            annotation=(
                Annotated[kind, _typer_info(info)] if isinstance(info, Parameter) else Annotated[kind, info]
            )
        )
        for parameter, kind, info in declared(function)
    ]
    made: Any = command
    made.__doc__ = function.__doc__
    made.__signature__ = inspect.Signature(parameters)
    made.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    shown: Callable[..., Any] = made
    return shown


def _typer_info(info: Parameter) -> Any:
    import typer

    settings: dict[str, Any] = {"help": info.help, "metavar": info.metavar, "min": info.min, "max": info.max}
    if info.parser is not None:
        settings["parser"] = _parser_for_typer(info.parser)
    make = typer.Option if isinstance(info, Option) else typer.Argument
    return make(*info.names, **settings)


def _parser_for_typer(parser: Callable[[str], Any]) -> Callable[[str], Any]:
    import typer

    def parse(text: str) -> Any:
        try:
            return parser(text)
        except BadValueError as error:
            raise typer.BadParameter(str(error)) from error

    return parse
