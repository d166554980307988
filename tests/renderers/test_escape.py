"""Text from files is shown, never obeyed."""

from __future__ import annotations

from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelinspect.renderers.escape import ascii_only, markdown_code, markdown_text, plain
from modelinspect.renderers.layout import cut, pad, wrap
from modelinspect.renderers.numbers import share_text, size_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("dense/kernel:0", "dense/kernel:0"),
        ("Größe 層", "Größe 層"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\r\nb\tc", "a\\x0d\\x0ab\\x09c"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eexe", "\\u202eexe"),
        ("\u200b\u2028", "\\u200b\\u2028"),
        ("\udc80", "\\udc80"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_a_terminal_would_obey_becomes_visible(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text(st.characters(codec=None)))
def test_nothing_invisible_is_left(text: str) -> None:
    assert not {category(character) for character in plain(text)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert ascii_only(plain(text)).isascii()
    plain(text).encode()


@given(st.text(st.characters(codec=None), min_size=1))
def test_a_code_span_holds_its_name_whole(text: str) -> None:
    span = markdown_code(text)
    fence = len(span) - len(span.lstrip("`"))
    inner = span[fence:-fence]
    assert "`" * fence not in inner.replace("`" * (fence + 1), "")
    assert inner.strip() == plain(text).strip()


def test_markup_is_escaped_in_text() -> None:
    assert markdown_text("*a* <b> [c](d) `e` x|y #1") == "\\*a\\* \\<b\\> \\[c\\](d) \\`e\\` x\\|y \\#1"


@given(st.text(max_size=80), st.integers(1, 60))
def test_cut_text_fits(text: str, width: int) -> None:
    from rich.cells import cell_len

    text = plain(text)
    assert cell_len(cut(text, width, "…")) <= width
    assert cell_len(pad(cut(text, width, "…"), width, right=False)) == width


def test_the_end_of_a_long_name_stays() -> None:
    assert cut("a/very/long/path/of/layers/kernel", 16, "…") == "a/ver…ers/kernel"


def test_wrapped_lines_keep_their_indent() -> None:
    assert wrap("one two three four", 12, "  ", "- ") == ["- one two", "  three four"]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0.0 %"),
        (0.0001, "<0.1 %"),
        (0.5, "50.0 %"),
        (0.99999, ">99.9 %"),
        (1.0, "100.0 %"),
        (0.9994, "99.9 %"),
    ],
)
def test_shares_never_round_something_to_nothing(share: float, text: str) -> None:
    assert share_text(share) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1_023, "1,023 bytes"),
        (57_352, "57,352 bytes (56.0 KiB)"),
        (2**60, "1,152,921,504,606,846,976 bytes (1024.0 PiB)"),
    ],
)
def test_sizes_are_exact_with_a_rounded_unit(size: int, text: str) -> None:
    assert size_text(size) == text
