"""Read ``[tool.modelinspect]`` of the nearest pyproject.toml."""

from __future__ import annotations

from pathlib import Path

from msgspec import UNSET, Struct, UnsetType

from modelinspect.core.settings_file import decode, read_toml


class _Lint(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    select: tuple[str, ...] | UnsetType = UNSET
    ignore: tuple[str, ...] | UnsetType = UNSET
    fail_on: str | UnsetType = UNSET


class _Check(Struct, frozen=True, forbid_unknown_fields=True):
    budget: str | UnsetType = UNSET


class _Table(_Lint, frozen=True, forbid_unknown_fields=True):
    """Keys for every command; a command's own table goes before them."""

    budget: str | UnsetType = UNSET
    lint: _Lint = _Lint()
    check: _Check = _Check()


class Settings(Struct, frozen=True):
    """What a project wants unless the command line says otherwise; ``folder`` is where its pyproject.toml
    is.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: str | None = None
    budget: str | None = None
    folder: Path = Path()


def read_settings(start: Path) -> Settings:
    """Return the settings of the nearest folder upward that has some.

    Raises `UsageError` for a key that is none.
    """
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            table = _table(path)
            if table is not None:
                return _settings(table, folder)
    return Settings()


def _table(path: Path) -> _Table | None:
    """Return the table, None where the file has none."""
    tool = decode(read_toml(path), _File, str(path)).tool
    return (
        decode(tool["modelinspect"], _Table, str(path), at="tool.modelinspect")
        if "modelinspect" in tool
        else None
    )


def _settings(table: _Table, folder: Path) -> Settings:
    given = {
        name: value
        for part in (table, table.lint, table.check)
        for name in ("select", "ignore", "fail_on", "budget")
        if (value := getattr(part, name, UNSET)) is not UNSET
    }
    return Settings(**given, folder=folder)


class _File(Struct, frozen=True):
    """What any tool's pyproject.toml is."""

    tool: dict[str, object] = {}
