"""Write docs/reference/messages.md: every finding, cause, category, option and plan note once, from the code.

The list is for review: whoever changes a message sees it here beside all others.

usage: python docs/generate_messages.py
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from modelinspect.analyses.explain.meaning import meaning
from modelinspect.analyses.plan.registry import option_names
from modelinspect.remedies import Remedy, example
from modelinspect.reports.categories import CATEGORIES
from modelinspect.reports.causes import CAUSES
from modelinspect.rules.registry import unsafe_rules, wasteful_rules

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "messages.md"
_PLAN = ROOT / "src" / "modelinspect" / "analyses" / "plan"
_NOTES = frozenset(("LeftOut", "Note", "UnmeasurableError"))
_NAMES = frozenset(("notes", "verdict"))
_HEAD = """# Every message

<!-- Written by docs/generate_messages.py; do not edit. -->

Each finding, cause, category, option, remedy and plan note once. `modelinspect explain WORD` explains the words in the first
column. In plan notes, `…` is a number or name that the plan fills in.
"""  # noqa: E501


def page() -> str:
    """Return the page."""
    rules = [
        (rule.id, f"{rule.severity}: {rule.example or rule.reason}")
        for rule in (*wasteful_rules(), *unsafe_rules())
    ]
    parts = (
        ("Findings", "rule", "message", rules),
        ("Causes", "cause", "meaning", [(str(cause), cause.meaning) for cause in CAUSES]),
        ("Categories", "category", "legend", [(str(category), category.legend) for category in CATEGORIES]),
        ("Options of the plan", "option", "meaning", [(name, _option(name)) for name in option_names()]),
        (
            "Remedies",
            "remedy",
            "words",
            [(remedy.slug, words) for remedy in Remedy if (words := _words(remedy))],
        ),
        ("Plan notes", "module", "note", list(plan_notes())),
    )
    return _HEAD + "".join(_table(*part) for part in parts)


def plan_notes() -> Iterator[tuple[str, str]]:
    """Yield every text that a plan can show beside an option, by module."""
    for path in sorted(_PLAN.glob("*.py")):
        found: dict[str, None] = {}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found |= dict.fromkeys(
                text for value in _values(node) for text in _texts(value) if " " in text.strip("… ")
            )
        yield from ((path.stem, text.strip()) for text in sorted(found))


def _values(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions of a node that become a note."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=args) if name in _NOTES:
            yield from args[-1:]
        case ast.Call(func=ast.Name(id="Option"), args=args):
            yield from args[4:5] + args[6:7]
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in _NAMES:
            yield value
        case ast.Assign(targets=[ast.Name(id="_FLOORS")], value=ast.Tuple(elts=rows)):
            yield from (row.elts[1] for row in rows if isinstance(row, ast.Tuple))
        case ast.AugAssign(target=ast.Name(id="notes"), value=value):
            yield value
        case ast.Expr(value=ast.Yield(value=ast.expr() as value)):
            yield value
        case ast.Call(func=ast.Attribute(value=ast.Name(id="notes"), attr="append"), args=args):
            yield from args


def _texts(value: ast.expr) -> Iterator[str]:
    """Yield the texts of an expression, each with … for what is filled in."""
    match value:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(
                part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "…"
                for part in parts
            )
        case ast.IfExp(body=body, orelse=other):
            yield from (*_texts(body), *_texts(other))
        case ast.BinOp(left=left, right=right):
            yield from (*_texts(left), *_texts(right))


def _option(name: str) -> str:
    found = meaning(name)
    return "" if found is None else found.meanings[0].meaning


def _words(remedy: Remedy) -> str:
    return example(remedy).words


def _table(title: str, first: str, second: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| `{name}` | {text.replace('|', chr(92) + '|')} |" for name, text in rows]
    return "\n".join((f"\n## {title}\n", f"| {first} | {second} |", "| --- | --- |", *lines, ""))


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
