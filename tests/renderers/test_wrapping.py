"""Lines break between words, and long names where their parts end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modelinspect.renderers.layout import wrap

NAME = "network/hidden/MatMul;network/hidden/Relu;network/hidden/BiasAdd"


def test_a_name_longer_than_a_line_breaks_behind_a_part() -> None:
    assert wrap(f"Where: {NAME} (-19,660)", 40, "    ") == [
        "    Where: network/hidden/MatMul;",
        "    network/hidden/Relu;network/hidden/",
        "    BiasAdd (-19,660)",
    ]


def test_a_word_without_parts_begins_a_line_and_is_cut() -> None:
    assert wrap("Where: " + 30 * "x", 20) == ["Where:", 20 * "x", 10 * "x"]


@given(st.lists(st.text("ab/;", min_size=1, max_size=60), max_size=8), st.integers(12, 40))
def test_nothing_is_lost_and_no_line_is_too_long(words: list[str], width: int) -> None:
    lines = wrap(" ".join(words), width, "  ")
    assert all(len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(words)
