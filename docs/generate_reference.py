"""Write what can be read off the code: docs/reference/cli.md, docs/reference/api.md, docs/schemas/*.json, and
the list of the decisions.

usage: python docs/generate_reference.py
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib import import_module
from inspect import Parameter, Signature, cleandoc, get_annotations, signature
from pathlib import Path
from typing import get_type_hints

import modelinspect
from modelinspect.cli.commands import COMMANDS, module_name
from modelinspect.cli.parameters import Argument, Option
from modelinspect.core.artifact import FormatName, Member, Severity
from modelinspect.core.bytemap import ByteMap, Region, RegionKind
from modelinspect.core.tensors import DType, Role, Storage
from modelinspect.formats.registry import formats
from modelinspect.reports.schemas import REPORTS, schema

DOCS = Path(__file__).resolve().parent
_HEAD = """# Command line

<!-- Written by docs/generate_reference.py; do not edit. -->

`modelinspect PATH` is `modelinspect inspect PATH`. PATH is a model file, a folder (SavedModel, TF.js, an unpacked `.keras`) or the
prefix of a checkpoint.

| command | answers |
| --- | --- |
"""  # noqa: E501
_API_HEAD = """# Python API

<!-- Written by docs/generate_reference.py; do not edit. -->

`import modelinspect` is quick: it loads neither numpy nor h5py before they are needed, and never TensorFlow. Everything
below raises `ModelInspectError` for what is wrong with an artifact, whatever its bytes are.

```python
import modelinspect as mi

report = mi.inspect("model.h5")
print(report.artifact.size, report.categories.zero_weights)
for cause in mi.explain("before.h5", "after.h5").causes:
    print(cause.delta, cause.cause, cause.message)
```
"""  # noqa: E501
_REPORTS_HEAD = """A report is data: frozen fields, `to_dict()` for exactly what `--format json` writes, `table()` for the one table that a
spreadsheet should get, `str()` for the text of the command line. JSON keys are the names of the fields; bytes are integers.
"""  # noqa: E501
_DECISIONS_HEAD = """# Decisions

<!-- Written by docs/generate_reference.py; do not edit. -->

Why things are as they are: the context, what was decided, and what follows from it.

"""
_MODULES_HEAD = """# Modules

<!-- Written by docs/generate_reference.py; do not edit. -->

Every folder and module of `src/modelinspect`, with the first sentence of its docstring. Imports run one way: `make check` holds it.
"""  # noqa: E501
_FORMATS_HEAD = """# Formats

<!-- Written by docs/generate_reference.py; do not edit. -->

Every format that is read, what its files are called, and what `artifact.format` says. Formats are recognized by their bytes and
structure; the name of a file matters only where this table has no other sign. Each page shows the bytes.

| format | files | `artifact.format` |
| --- | --- | --- |
"""  # noqa: E501
_LIMITATIONS_HEAD = """
## What is not read

Each of these may be in a valid file. Its bytes are in the map all the same; what could not be named is `unattributed`, and a
diagnostic says so where something was left out.
"""  # noqa: E501
_WIDTH = 100
BAR = "\\|"
_FACTS: tuple[type, ...] = (Member, ByteMap, Region, RegionKind, Role, Storage, DType, Severity, FormatName)
_TAIL = """
## Exit codes

| code | meaning |
| --- | --- |
| 0 | done, nothing found that a check forbids |
| 1 | findings, or a budget exceeded (`lint`, `check`) |
| 2 | the command line asks for something that does not exist |
| 3 | the artifact could not be inspected, or the output not written |
| 130 | interrupted |

Errors are one line on standard error. Names from files are shown with control characters made visible, so a file cannot steer
the terminal. Colour is used on a terminal and never carries meaning by itself. `--color always` and `--color never` decide; without them,
`NO_COLOR=1` turns it off and `FORCE_COLOR=1` turns it on, and `NO_COLOR` wins. `COLUMNS` sets the width where there is no terminal to ask.

## Shell completion

`modelinspect --install-completion` installs completion for the shell that runs it; `modelinspect --show-completion` prints it.
"""  # noqa: E501


def pages() -> dict[Path, str]:
    """Return every generated file with its text."""
    made = {DOCS / "reference" / "cli.md": _command_line()}
    for name in REPORTS:
        made[DOCS / "schemas" / f"{name}.json"] = json.dumps(schema(name), indent=2, sort_keys=False) + "\n"
    made[DOCS / "reference" / "api.md"] = _api()
    made[DOCS / "formats" / "README.md"] = _formats()
    made[DOCS / "developer" / "decisions" / "README.md"] = _decisions()
    made[DOCS / "developer" / "modules.md"] = _modules()
    return made


def _formats() -> str:
    """Return the table of formats and their limitations, as the formats declare them."""
    abouts = sorted((format.about for format in formats()), key=lambda about: about.title.lower())
    text = _FORMATS_HEAD
    for about in abouts:
        names = ", ".join(f"`{name}`" for name in about.names) or "that of what is inside"
        text += f"| [{about.title}]({about.page}) | {', '.join(about.files)} | {names} |\n"
    text += _LIMITATIONS_HEAD
    for about in abouts:
        if about.limitations:
            text += f"\n**{about.title}**\n\n" + "".join(
                f"- {limitation}\n" for limitation in about.limitations
            )
    return text


def _modules() -> str:
    """Return the tree of modules, each with the summary of its docstring."""
    root = Path(modelinspect.__file__).resolve().parent
    text = _MODULES_HEAD
    for folder in sorted({path.parent for path in root.rglob("*.py")}):
        inside = folder.relative_to(root)
        if inside.parts:
            text += f"\n## {inside.as_posix()}/\n\n{_docstring(folder / '__init__.py')}\n"
        paths = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
        text += "".join(
            [
                "\n| module | |\n| --- | --- |\n",
                *(f"| `{path.name}` | {_docstring(path)} |\n" for path in paths),
            ]
            if paths
            else []
        )
    return text


def _docstring(path: Path) -> str:
    """Return the summary of a module's docstring, as a cell of a table has it."""
    found = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(found.split("\n\n", 1)[0].split()).replace("|", BAR)


def _command_line() -> str:
    rows = "".join(
        f"| [`{name}`](#modelinspect-{name}) | {sentence} |\n" for name, sentence in COMMANDS.items()
    )
    return _HEAD + rows + "".join(_command(name) for name in COMMANDS) + _TAIL


def _command(name: str) -> str:
    """Return the section of a command, read off its function's signature."""
    module = import_module(module_name(name))
    hints = get_type_hints(module.command, include_extras=True)
    parameters = [
        (hints[key].__metadata__[0], parameter)
        for key, parameter in signature(module.command).parameters.items()
    ]
    arguments = [info for info, _ in parameters if isinstance(info, Argument)]
    usage = " ".join(["modelinspect", name, "[OPTIONS]", *(str(info.metavar) for info in arguments)])
    text = (
        f"\n## modelinspect {name}\n\n{cleandoc(module.command.__doc__)}\n\n```text\n{usage}\n```\n\n| | |\n|"
        " --- | --- |\n"
    )
    for info in arguments:
        text += f"| `{info.metavar}` | {info.help} |\n"
    for info, parameter in parameters:
        if isinstance(info, Option):
            text += _option(info, parameter)
    return text + _epilog(getattr(module, "EXAMPLES", ""))


def _epilog(epilog: str) -> str:
    """Return what is below a command's help: examples as commands, the rest as it is."""
    text = ""
    for paragraph in epilog.replace("\b", "").split("\n\n"):
        lines = [line.strip() for line in paragraph.strip().splitlines()]
        if lines and lines[0] == "Examples:":
            text += "\n```bash\n" + "\n".join(lines[1:]) + "\n```\n"
        elif lines:
            text += "\n" + "  \n".join(lines) + "\n"
    return text


def _option(info: Option, parameter: Parameter) -> str:
    names = list(info.names)
    shown = ", ".join(names or [f"--{parameter.name.replace('_', '-')}"]) + (
        f" {info.metavar}" if info.metavar else ""
    )
    required = " Required." if parameter.default is Parameter.empty else ""
    default = (
        required if required or parameter.default in (None, "", False) else f" Default: {parameter.default}."
    )
    return f"| `{shown}` | {info.help}{default} |\n".replace(shown, shown.replace("|", "\\|"))


def _api() -> str:
    """Return the page of the public names: functions, what they return, facts, errors."""
    text = _API_HEAD
    public = {name: getattr(modelinspect, name) for name in modelinspect.__all__ if not name.startswith("_")}
    functions = {name: thing for name, thing in public.items() if not isinstance(thing, type)}
    classes = {name: thing for name, thing in public.items() if isinstance(thing, type)}
    errors = [thing for thing in classes.values() if issubclass(thing, Exception)]
    text += "\n## Functions\n" + "".join(_function(name, thing) for name, thing in functions.items())
    text += (
        "\n## Reports\n\n"
        + _REPORTS_HEAD
        + "".join(_class(_report_type(name), _schema_link(name)) for name in REPORTS)
    )
    text += "\n## Facts\n" + "".join(
        _class(thing) for thing in (*(one for one in classes.values() if one not in errors), *_FACTS)
    )
    return text + "\n## Errors\n\n" + _errors()


def _function(name: str, thing: Callable[..., object]) -> str:
    parameters = signature(thing)
    shown = f"modelinspect.{name}{parameters}".replace("'", "")
    if len(shown) > _WIDTH:
        lines = "".join(f"    {one},\n".replace("'", "") for one in _with_star(parameters))
        shown = f"modelinspect.{name}(\n{lines}) -> {parameters.return_annotation}".replace("'", "")
    return f"\n### `{name}`\n\n```python\n{shown}\n```\n\n{_doc(thing)}\n"


def _with_star(parameters: Signature) -> Iterator[str]:
    """Yield the parameters as they are written, the star before those that must be named."""
    starred = False
    for parameter in parameters.parameters.values():
        if parameter.kind is Parameter.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        yield str(parameter)


def _class(thing: type, more: str = "") -> str:
    text = f"\n### `{thing.__name__}`\n\n{_doc(thing)}{more}\n"
    if issubclass(thing, StrEnum):
        return text + "\n" + " · ".join(f"`{member.value}`" for member in thing) + "\n"
    fields = [name for name in get_annotations(thing) if not name.startswith("_")]
    hints = get_annotations(thing)
    rows = "".join(f"| `{name}` | `{str(hints[name]).replace('|', BAR)}` |\n" for name in fields)
    if rows:
        text += f"\n| field | type |\n| --- | --- |\n{rows}"
    methods = [
        (name, member)
        for name, member in vars(thing).items()
        if not name.startswith("_")
        and getattr(member, "__doc__", None)
        and (callable(member) or isinstance(member, property))
    ]
    told = "".join(
        f"- `{_call(name, member)}`: {_first(member)}\n" for name, member in methods if name not in fields
    )
    return text + ("\n" + told if told else "")


def _call(name: str, member: object) -> str:
    if isinstance(member, property):
        return name
    names = [one for one in signature(member).parameters if one != "self"]  # type: ignore[arg-type]
    return f"{name}({', '.join(names)})"


def _errors() -> str:
    """Return the tree of exceptions as a list."""
    text = ""
    left: list[tuple[int, type]] = [(0, modelinspect.ModelInspectError)]
    while left:
        depth, thing = left.pop()
        text += f"{'  ' * depth}- `{thing.__name__}`: {_first(thing)}\n"
        ours = [one for one in thing.__subclasses__() if one.__module__ == "modelinspect.errors"]
        left += [(depth + 1, one) for one in sorted(ours, key=lambda one: one.__name__, reverse=True)]
    return text


def _decisions() -> str:
    """Return the list of decisions. Raises `ValueError` where two have one number."""
    pages = sorted((DOCS / "developer" / "decisions").glob("0*.md"))
    numbers = [page.name[:4] for page in pages]
    twice = {number for number in numbers if numbers.count(number) > 1}
    if twice:
        raise ValueError(f"two decisions have the number {', '.join(sorted(twice))}")
    rows = "".join(f"| {int(page.name[:4])} | [{_title(page)}]({page.name}) |\n" for page in pages)
    return f"{_DECISIONS_HEAD}| | decision |\n| ---: | --- |\n{rows}"


def _title(page: Path) -> str:
    first = page.read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("# ").removeprefix(f"{int(page.name[:4])}. ")


def _report_type(name: str) -> type:
    module, _, type_name = REPORTS[name].partition(":")
    found: type = getattr(import_module(module), type_name)
    return found


def _schema_link(name: str) -> str:
    return f" [JSON schema](../schemas/{name}.json)."


def _doc(thing: object) -> str:
    return cleandoc(getattr(thing, "__doc__", None) or "").replace("``", "`")


def _first(thing: object) -> str:
    return " ".join(_doc(thing).split("\n\n")[0].split())


def main() -> None:
    """Write every page."""
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
