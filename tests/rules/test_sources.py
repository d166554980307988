"""Meaning is a type: no rule and no analysis decides by the words of a message."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import modelinspect

_SOURCES = Path(modelinspect.__file__).parent
_FOLDERS = (
    "analyses",
    "budgets",
    "conversion",
    "ledger",
    "measure",
    "networks",
    "remedies",
    "rules",
    "scanning",
)
_TEXTS = frozenset(("problem", "message", "reason", "reasons", "payload_note", "note", "notes", "words"))
"""Attributes that hold sentences for people."""
_NAMES = _TEXTS - {"words"}
"""Variables that do; words are also those that a command is asked about."""
_ALLOWED = {"rules/unsafe/configs.py": "what says the same of the same object is one finding"}
"""Modules that compare whole sentences with each other, and why."""
_DECIDES = frozenset(
    (
        "__contains__",
        "__eq__",
        "casefold",
        "count",
        "endswith",
        "find",
        "index",
        "partition",
        "removeprefix",
        "removesuffix",
        "rfind",
        "rindex",
        "rpartition",
        "rsplit",
        "split",
        "splitlines",
        "startswith",
    )
)
"""Methods of texts with which code looks for words in one."""
_SEARCHES = frozenset(
    ("contains", "eq", "findall", "finditer", "fnmatch", "fnmatchcase", "fullmatch", "match", "search")
)
"""Methods and functions that look for a pattern or a part in an argument."""
_LOOKS_UP = frozenset(("get", "pop", "setdefault", "index", "count"))
_Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def _files() -> list[Path]:
    return sorted(path for folder in _FOLDERS for path in (_SOURCES / folder).rglob("*.py"))


class _Readings(ast.NodeVisitor):
    """Finds where a text for people decides something: also by another name, lowered, cut or in a list."""

    def __init__(self) -> None:
        self.lines: set[int] = set()
        self._names: set[str] = set(_NAMES)
        self._errors: set[str] = {"error", "diagnostic"}

    def is_text(self, node: ast.expr | None) -> bool:
        """Return whether an expression is a text for people, or was made of one."""
        match node:
            case ast.Attribute(attr=name):
                return name in _TEXTS or (name == "args" and self._is_error(node.value))
            case ast.Name(id=name):
                return name in self._names
            case ast.Call(func=ast.Attribute(value=inner)) if self.is_text(inner):
                return True
            case ast.Call(func=ast.Attribute(attr="join"), args=[inner]):
                return self.is_text(inner)
            case ast.Call(func=ast.Name(id="str" | "repr" | "format"), args=[inner, *_]):
                return self.is_text(inner) or self._is_error(inner)
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]):
                return name in _TEXTS
            case ast.Call(
                func=ast.Name(id="sorted" | "list" | "tuple" | "set" | "reversed"), args=[inner, *_]
            ):
                return self.is_text(inner)
            case ast.Subscript(value=inner) | ast.Starred(value=inner) | ast.NamedExpr(value=inner):
                return self.is_text(inner)
            case ast.JoinedStr(values=parts):
                return any(
                    isinstance(part, ast.FormattedValue)
                    and (self.is_text(part.value) or self._is_error(part.value))
                    for part in parts
                )
            case ast.BinOp(left=left, right=right):
                return self.is_text(left) or self.is_text(right)
            case (
                ast.BoolOp(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts)
            ):
                return any(map(self.is_text, parts))
            case ast.IfExp(body=one, orelse=other):
                return self.is_text(one) or self.is_text(other)
            case ast.ListComp(elt=each) | ast.SetComp(elt=each) | ast.GeneratorExp(elt=each):
                return self.is_text(each)
            case _:
                return False

    def _is_error(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in self._errors

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name) and self.is_text(value):
            self._names.add(target.id)
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, other in zip(target.elts, value.elts, strict=False):
                self._bind(one, other)

    def visit_scope(self, node: _Scope) -> None:
        known = set(self._names)
        self.generic_visit(node)
        self._names = known

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = visit_scope

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        known = set(self._names)
        for each in node.generators:
            self.visit(each)
        self.generic_visit(node)
        self._names = known

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._bind(node.target, node.iter)
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self._bind(node.target, node.iter)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._bind(target, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind(node.target, node.value)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._bind(node.target, node.value)
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name is not None:
            self._errors.add(node.name)
        self.generic_visit(node)

    def visit_Match(self, node: ast.Match) -> None:
        if self.is_text(node.subject):
            self.lines.add(node.lineno)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.slice, ast.Slice) and self.is_text(node.slice):
            self.lines.add(node.lineno)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        for operator, before, after in zip(node.ops, sides, sides[1:], strict=False):
            if isinstance(operator, ast.Is | ast.IsNot):
                continue
            texts = [one for one in (before, after) if self.is_text(one)]
            is_emptiness = any(isinstance(one, ast.Constant) and one.value == "" for one in (before, after))
            if texts and not is_emptiness:
                self.lines.add(node.lineno)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
        match node.func:
            case ast.Attribute(value=inner, attr=name):
                if name in _DECIDES and self.is_text(inner):
                    self.lines.add(node.lineno)
                if name in _SEARCHES and any(map(self.is_text, values)):
                    self.lines.add(node.lineno)
                if name in _LOOKS_UP and any(map(self.is_text, values[:1])):
                    self.lines.add(node.lineno)
            case ast.Name(id=name) if name in _SEARCHES and any(map(self.is_text, values)):
                self.lines.add(node.lineno)
        self.generic_visit(node)


def _readings(tree: ast.AST) -> list[int]:
    """Return the lines in which a text for people is searched, compared, or looked up."""
    readings = _Readings()
    readings.visit(tree)
    return sorted(readings.lines)


@pytest.mark.parametrize(
    "source",
    [
        "if 'truncated' in found.problem: pass",
        "found.message.startswith('gone')",
        "re.search('zip', entry.problem)",
        "_PATTERN.search(str(error))",
        "if diagnostic.problem == 'no file': pass",
        "'x' in found.problem.lower()",
        "text = found.problem; text.startswith('x')",
        "text = str(error)[:5]; a = text == 'trunc'",
        "[one for one in entries if (said := one.message) and 'x' in said]",
        "any('x' in said for said in [one.problem for one in entries])",
        "match_of = re.compile('x').search(f'{error}')",
        "operator.contains(found.problem, 'x')",
        "fnmatch(found.message, '*x*')",
        "cause = {'no file': 1}[found.problem]",
        "cause = CAUSES.get(found.problem)",
        "is_cut = found.problem in {'cut', 'short'}",
        "is_cut = ' '.join(one.problem for one in entries) > 'x'",
        "is_cut = getattr(found, 'problem') == 'cut'",
        "is_cut = error.args[0] == 'cut'",
        "first = found.problem.split()[0]",
    ],
)
def test_reading_a_message_is_noticed(source: str) -> None:
    assert list(_readings(ast.parse(source))) == [1]


@pytest.mark.parametrize(
    "source", ["if found.problem: pass", "f'{found.problem}: x'", "a = found.message == ''"]
)
def test_showing_a_message_and_asking_whether_there_is_one_is_allowed(source: str) -> None:
    assert _readings(ast.parse(source)) == []


def test_no_rule_and_no_analysis_reads_a_message() -> None:
    found = {
        path.relative_to(_SOURCES).as_posix(): lines
        for path in _files()
        if (lines := _readings(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found.keys() == _ALLOWED.keys(), found
