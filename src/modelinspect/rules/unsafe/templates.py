"""Rules about chat templates: what they reach for in Python, and which other templates they load."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from modelinspect.core.artifact import Document, DocumentKind, Severity
from modelinspect.core.limits import KIB
from modelinspect.core.records import dataclass
from modelinspect.core.span import Span
from modelinspect.encodings.jinja import Code, Kind, Token, pieces
from modelinspect.networks.subject import Subject
from modelinspect.rules.base import Finding, Group, Place, Rule
from modelinspect.rules.unsafe.places import place_of, read_document

_ATTRIBUTE = (
    r"__\w+__|(?:func|im|gi|cr|ag|tb|f|co)_(?:globals|code|frame|locals|builtins|func|self|back|consts)|mro"
)
"""Attributes that lead from a value to Python's internals; jinja2's sandbox refuses them (jinja2/sandbox.py,
is_internal_attribute). Compiled where it is first used: most models have no template.
"""
_NAMED = (
    r"__(?:class|bases?|mro|subclasses|globals|builtins|init|new|import|dict|code|closure|func|self|module|loader|spec|wrapped|call"
    r"|getattribute|getattr|reduce|reduce_ex|init_subclass|subclasshook)__|(?:func|im|gi|cr|ag|tb|f)_(?:globals|code|frame|locals|builtins)"
)
"""The same as the text of a string, which may be other words between underscores."""
_LOADS = frozenset(("include", "import", "extends", "from"))
"""Statements that have the engine load another template."""
_SHOWN = 80
_KEPT = 100
"""Findings of one template; nobody reads more."""
_MOST = 256 * KIB
"""Bytes of templates that are looked at, of all templates of an artifact together."""


@dataclass(frozen=True, slots=True)
class Templates:
    """What the templates of an artifact do: the places, and texts, that reach for internals, and that load
    other templates.

    ``unread`` has what was not checked, or not to its end, with the reason.
    """

    internals: tuple[tuple[str, Place], ...]
    loads: tuple[tuple[str, Place], ...]
    unread: tuple[tuple[str, Place], ...]


def _templates(subject: Subject) -> Templates:
    internals: list[tuple[str, Place]] = []
    loads: list[tuple[str, Place]] = []
    unread: list[tuple[str, Place]] = []
    left = _MOST
    for document in subject.artifact.documents:
        if document.kind is not DocumentKind.CHAT_TEMPLATE:
            continue
        size = document.span.size if document.data is None else len(document.data)
        if size > left:
            problem = (
                f"of {size:,} bytes was not checked: at most {_MOST:,} bytes of an artifact's templates are"
            )
            unread.append((problem, place_of(document.stream, document.span)))
            continue
        left -= size
        text = read_document(document, subject.files, size).decode("utf-8", "replace")
        codes, problem = pieces(text)
        if problem:
            unread.append(
                (
                    f"was not checked to its end, which jinja2 does not read: {problem}",
                    place_of(document.stream, document.span),
                )
            )
        internals += islice(_located(document, text, _internals(codes)), _KEPT)
        loads += islice(_located(document, text, _loads(codes)), _KEPT)
    return Templates(tuple(internals), tuple(loads), tuple(unread))


def _internals(codes: Sequence[Code]) -> Iterator[tuple[Code, str]]:
    """Yield pieces of code with the name of what they reach for: an attribute, or a string that is an
    attribute's name.
    """
    for code in codes:
        tokens = code.tokens
        for index in range(len(tokens)):
            if _is_internal(tokens, index):
                yield code, f"reaches for {_joined(tokens, index)}"
                break
            if _is_computed(tokens, index):
                yield code, "reads an attribute whose name it computes"
                break


def _is_internal(tokens: tuple[Token, ...], index: int) -> bool:
    """Return whether a token names an internal attribute: after a dot, or in a string (of several parts, in a
    dotted path).
    """
    token = tokens[index]
    if token.kind is Kind.NAME:
        return (
            index > 0 and tokens[index - 1].text == "." and re.fullmatch(_ATTRIBUTE, token.text) is not None
        )
    if token.kind is not Kind.STRING or _continues(tokens, index):
        return False
    return any(re.fullmatch(_NAMED, part) for part in _joined(tokens, index).split("."))


def _joined(tokens: tuple[Token, ...], index: int) -> str:
    """Return the value of a string with those that are put together with it (``'__cla' ~ 'ss__'``, ``+``, or
    side by side).
    """
    parts, place = [tokens[index].text], index + 1
    if tokens[index].kind is Kind.STRING:
        while place < len(tokens):
            step = 2 if tokens[place].text in ("~", "+") and tokens[place].kind is Kind.OPERATOR else 1
            if place + step > len(tokens) or tokens[place + step - 1].kind is not Kind.STRING:
                break
            parts.append(tokens[place + step - 1].text)
            place += step
    return "".join(parts)


def _continues(tokens: tuple[Token, ...], index: int) -> bool:
    """Return whether a string is put together with one before it, which was looked at with it."""
    before = [token.kind for token in tokens[max(index - 2, 0) : index]]
    if before[-1:] == [Kind.STRING]:
        return True
    return before[:1] == [Kind.STRING] and len(before) == 2 and tokens[index - 1].text in ("~", "+")


def _is_computed(tokens: tuple[Token, ...], index: int) -> bool:
    """Return whether a token is the filter ``attr`` with anything but one string."""
    if tokens[index].text != "attr" or index == 0 or tokens[index - 1].text != "|":
        return False
    following = tokens[index + 1 : index + 4]
    named = (
        len(following) == 3
        and following[0].text == "("
        and following[1].kind is Kind.STRING
        and following[2].text == ")"
    )
    return bool(following) and following[0].text == "(" and not named


def _loads(codes: Sequence[Code]) -> Iterator[tuple[Code, str]]:
    for code in codes:
        if (
            code.is_block
            and code.tokens
            and code.tokens[0].kind is Kind.NAME
            and code.tokens[0].text in _LOADS
        ):
            yield code, "loads another template"


def _located(document: Document, text: str, found: Iterator[tuple[Code, str]]) -> Iterator[tuple[str, Place]]:
    """Yield what was found with its bytes; of a template that is a JSON string, with the bytes of its
    document.
    """
    place = begin = 0
    for code, what in found:
        shown = " ".join(text[code.begin : code.end].split())
        message = f"a chat template {what}: {shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + '…'}"
        if document.data is not None:
            yield message, place_of(document.stream, document.span)
            continue
        begin += len(text[place : code.begin].encode())
        place = code.begin
        size = len(text[code.begin : code.end].encode())
        yield message, place_of(document.stream, Span(document.span.offset + begin, size))


_INTERNALS_ADVICE = (
    "do not render it outside a sandbox (jinja2.sandbox.ImmutableSandboxedEnvironment); a prompt needs no"
    " such attribute"
)
_LOADS_ADVICE = "see which template it loads where it is rendered, or put its text into this one"


def _find_internals(subject: Subject) -> Iterator[Finding]:
    templates = subject.once(_templates)
    for message, place in templates.internals:
        yield Finding(message, place.size or 0, _INTERNALS_ADVICE, place)
    for problem, place in templates.unread:
        yield Finding(f"a chat template {problem}", place.size or 0, "check it by hand", place)


def _find_loads(subject: Subject) -> Iterator[Finding]:
    for message, place in subject.once(_templates).loads:
        yield Finding(message, place.size or 0, _LOADS_ADVICE, place)


RULES = (
    Rule(
        "template-code",
        Severity.ERROR,
        "An attribute like __globals__ leads from a template to any function of Python (CVE-2024-34359).",
        _find_internals,
        advice=_INTERNALS_ADVICE,
        example=(
            "a chat template reaches for __init__: {{ cycler.__init__.__globals__.os.popen('id').read() }}"
        ),
        group=Group.UNSAFE,
    ),
    Rule(
        "template-load",
        Severity.WARNING,
        "A template that includes or imports another has the engine read that file.",
        _find_loads,
        advice=_LOADS_ADVICE,
        example="a chat template loads another template: {% include '/etc/passwd' %}",
        group=Group.UNSAFE,
    ),
)
