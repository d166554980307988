"""The command line as a whole. Commands are imported on first use, so ``--help`` stays quick."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from modelinspect.cli.commands import COMMANDS, DEFAULT, module_name
from modelinspect.cli.parameters import for_typer

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_NARROW, _INDENT = 60, 8
_EPILOG = """\b
Examples:
  modelinspect demo
  modelinspect model.h5
  modelinspect explain original.h5 pruned.h5
  modelinspect plan pruned.h5

Exit codes: 0 clean, 1 findings or a budget exceeded (lint, check), 2 usage, 3 could not inspect,
130 interrupted.
"""


class Commands(TyperGroup):
    """The commands by name; without a name, the default one runs."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(module_name(cmd_name))
        single = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=_SETTINGS)
        needs_arguments = getattr(module, "NEEDS_ARGUMENTS", True)
        single.command(
            name=cmd_name, epilog=getattr(module, "EXAMPLES", None), no_args_is_help=needs_arguments
        )(for_typer(module.command))
        return fitting(typer.main.get_command(single))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and not self._is_ours(ctx, args):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def _is_ours(self, ctx: Any, args: list[str]) -> bool:
        """Return whether the arguments name a command or begin with an option of the program itself."""
        first = args[0]
        if first in COMMANDS:
            return True
        if first.startswith("-"):
            own = [option for parameter in self.get_params(ctx) for option in parameter.opts]
            if first.split("=")[0] in own:
                return True
            from modelinspect.core.suggestions import did_you_mean

            if len(args) == 1 and (meant := did_you_mean(first, own, 0.75)):
                ctx.fail(f"there is no option {first!r}{meant}")
            return False
        from modelinspect.core.suggestions import did_you_mean

        meant = did_you_mean(first, COMMANDS, 0.75)
        if meant and len(args) > 1 and not Path(first).exists():
            ctx.fail(f"there is no command {first!r}{meant}")
        return False


def fitting(command: Any) -> Any:
    """Let the help of a command fit narrow terminals: what an option does is below it, not in a column of ten
    characters.
    """
    context: Any = command.context_class
    usual: Any = context.formatter_class

    def write_dl(self: Any, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
        usual.write_dl(self, rows, col_max if self.width >= _NARROW else _INDENT, col_spacing)

    formatter = type("Formatter", (usual,), {"write_dl": write_dl})
    command.context_class = type("FittingContext", (context,), {"formatter_class": formatter})
    return command


def _version(wanted: bool) -> None:
    if wanted:
        from modelinspect.version import VERSION

        typer.echo(f"modelinspect {VERSION}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands, rich_markup_mode=None, context_settings=_SETTINGS, epilog=_EPILOG, no_args_is_help=True
)


@app.callback()
def modelinspect(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Show where the bytes of a TensorFlow model file go, and why it is not smaller."""
