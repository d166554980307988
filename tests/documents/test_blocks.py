"""Which marks of a document count, and what comes between them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelinspect.documents.blocks import LARGEST, Output, decode, filled, parse
from modelinspect.errors import FormatError, LimitError, ModelInspectError, UsageError

BEGIN, END = "<!-- modelinspect: inspect a.h5 -->", "<!-- /modelinspect -->"
TEXT = Output("one\ntwo\n", "text")


def fill(text: str, *outputs: Output) -> str:
    return filled(parse(text, "a.md"), outputs)


def test_a_block_is_what_is_between_its_marks() -> None:
    document = parse(f"before\n\n{BEGIN}\nold\n{END}\nafter", "a.md")
    (block,) = document.blocks
    assert (block.line, block.command, document.body(block)) == (3, ("inspect", "a.h5"), "old\n")


def test_terminal_text_comes_in_a_code_block_and_markdown_as_it_is() -> None:
    text = f"{BEGIN}\n{END}\n\n{BEGIN}\n{END}\n"
    assert (
        fill(text, TEXT, Output("| a |\n| --- |\n", ""))
        == f"{BEGIN}\n\n```text\none\ntwo\n```\n\n{END}\n\n{BEGIN}\n\n| a |\n| --- |\n\n{END}\n"
    )


def test_filling_again_changes_nothing() -> None:
    once = fill(f"{BEGIN}\n{END}\n", TEXT)
    assert fill(once, TEXT) == once


@pytest.mark.parametrize(
    "text",
    [
        f"```\n{BEGIN}\n```\n",
        f"~~~ markdown\n{BEGIN}\n{END}\n~~~\n",
        f"````\n```\n{BEGIN}\n```\n````\n",
        f"- item\n\n  ```\n  {BEGIN}\n  ```\n",
        f"> ```\n> {BEGIN}\n> ```\n",
        f"    {BEGIN}\n",
        f"text with `{BEGIN}` and `{END}`\n",
        f"``` {BEGIN}\nnever closed\n",
        "<!-- modelinspect -->\n",
        "",
    ],
)
def test_a_mark_in_code_is_text(text: str) -> None:
    assert parse(text, "a.md").blocks == ()
    assert fill(text) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{BEGIN}\n", "a.md:1: the block does not end"),
        (f"{END}\n", "a.md:1: <!-- /modelinspect --> ends no block"),
        (f"\n{BEGIN}\n\n{BEGIN}\n{END}\n{END}\n", "a.md:4: a block begins inside the one of line 2"),
        (
            f"{BEGIN}\n```\nnever closed\n{END}\n",
            "a.md:1: the block does not end; <!-- /modelinspect --> is missing, or in a code block",
        ),
        (f"{BEGIN} and more\n{END}\n", "a.md:1: a mark needs its own line"),
        (f"text\ntext {BEGIN}\n", "a.md:2: a mark needs its own line"),
        (f"| a |\n| --- |\n| {BEGIN} |\n", "a.md:3: a mark needs its own line"),
        (f"<td>{BEGIN}</td>\n", "a.md:1: a mark needs its own line"),
        ("<!-- modelinspect: inspect a.h5\n", "a.md:1: the mark is not closed with -->"),
        (
            "<!-- modelinspect: inspect 'a.h5 -->\n<!-- /modelinspect -->\n",
            "a.md:1: the command cannot be read: No closing quotation",
        ),
    ],
)
def test_a_document_that_is_wrong_says_where_and_why(text: str, problem: str) -> None:
    with pytest.raises((FormatError, UsageError)) as caught:
        parse(text, "a.md")
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_end_as_those_of_the_document(newline: str) -> None:
    text = newline.join(["# A", "", BEGIN, "old", END, "last"])
    body = newline.join(["", "```text", "one", "two", "```", ""])
    assert fill(text, TEXT) == newline.join(["# A", "", BEGIN, body, END, "last"])


def test_a_document_need_not_end_with_a_line_ending() -> None:
    assert fill(f"{BEGIN}\n{END}", TEXT).endswith(f"```\n\n{END}")


def test_a_byte_order_mark_stays() -> None:
    text = f"\ufeff{BEGIN}\n{END}\n"
    assert fill(text, TEXT).startswith(f"\ufeff{BEGIN}\n\n```text")
    assert fill("\ufeff\ufefftext") == "\ufeff\ufefftext"


def test_what_is_not_utf8_is_an_error_with_its_place() -> None:
    with pytest.raises(FormatError, match=r"a\.md at byte 3 \(0x3\): not UTF-8"):
        decode(b"abc\xff", "a.md")
    with pytest.raises(FormatError, match="not UTF-8"):
        decode(f"{BEGIN}\n".encode("utf-16"), "a.md")


def test_a_document_has_a_largest_size() -> None:
    with pytest.raises(LimitError):
        decode(bytes(LARGEST + 1), "a.md")


def test_a_fence_in_the_output_does_not_end_the_code_block() -> None:
    text = fill(f"{BEGIN}\n{END}\n", Output("```\n````\n", "text"))
    assert "`````text\n```\n````\n`````\n" in text
    assert fill(text, TEXT) == fill(f"{BEGIN}\n{END}\n", TEXT)


def test_marks_in_the_output_are_text_in_a_code_block() -> None:
    text = fill(f"{BEGIN}\n{END}\n", Output(f"{END}\n{BEGIN}\n", "text"))
    assert len(parse(text, "a.md").blocks) == 1
    assert fill(text, TEXT) == fill(f"{BEGIN}\n{END}\n", TEXT)


@pytest.mark.parametrize("output", [END, BEGIN, f"{END}\n\n{BEGIN}", "```", f"text {BEGIN}", f"- {END}"])
def test_markdown_that_would_change_the_blocks_is_refused(output: str) -> None:
    with pytest.raises(FormatError, match="a mark"):
        fill(f"{BEGIN}\n{END}\n", Output(output, ""))


def test_the_lines_of_a_block_are_inside_its_list_or_quotation() -> None:
    text = f"1. {BEGIN}\n   {END}\n\n> {BEGIN}\n> {END}\n"
    assert (
        fill(text, TEXT, TEXT)
        == f"1. {BEGIN}\n\n   ```text\n   one\n   two\n   ```\n\n   {END}\n\n> {BEGIN}\n>\n> ```text\n>"
        f" one\n> two\n> ```\n>\n> {END}\n"
    )


def test_a_command_may_take_several_lines() -> None:
    (block,) = parse(f"<!-- modelinspect: explain a.h5\n  'b c.h5' -->\n{END}\n", "a.md").blocks
    assert block.command == ("explain", "a.h5", "b c.h5")


def test_a_mark_beside_other_html_counts() -> None:
    text = f"<div>\n{BEGIN}\n\nold\n\n{END}\n</div>\n"
    assert "one\ntwo" in fill(text, TEXT)


PIECES = (
    BEGIN,
    END,
    "```",
    "~~~",
    "text",
    "",
    "- item",
    "> quoted",
    "    code",
    "<div>",
    "<!--",
    "-->",
    "`",
    "| a |",
    "1. one",
    "\ufeff",
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(
    st.lists(st.sampled_from(PIECES), max_size=12),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["", "\ufeff"]),
)
def test_any_document_is_filled_or_refused_and_stays_the_same_outside_of_its_blocks(
    lines: list[str], newline: str, mark: str
) -> None:
    text = mark + newline.join(lines)
    try:
        document = parse(text, "a.md")
        new = filled(document, [TEXT] * len(document.blocks))
    except ModelInspectError:
        return
    again = parse(new, "a.md")
    assert len(again.blocks) == len(document.blocks)
    assert filled(again, [TEXT] * len(again.blocks)) == new
    assert _outside(text) == _outside(new)


def _outside(text: str) -> list[str]:
    document = parse(text, "a.md")
    inside = {line for block in document.blocks for line in range(block.begin, block.end)}
    return [line for index, line in enumerate(document.lines) if index not in inside]
