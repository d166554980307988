"""Settings files: what is wrong is said in one line, with the file, the key and what may be meant."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from msgspec import Struct

from modelinspect.core.settings_file import decode, read_toml
from modelinspect.errors import UsageError


class Inner(Struct, frozen=True, forbid_unknown_fields=True):
    width: int
    names: tuple[str, ...] = ()


class Outer(Struct, frozen=True, forbid_unknown_fields=True):
    rows: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] = {}
    sizes: dict[Literal["small", "large"], int] = {}
    title: str | None = None

    def __post_init__(self) -> None:
        if self.title == "":
            raise ValueError("title must not be empty")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"row": []}, "f.toml: has no key 'row'; did you mean rows?"),
        ({"zzz": 1}, "f.toml: has no key 'zzz'; it may have rows, by_name, sizes, title"),
        ({"rows": 1}, "f.toml: rows must be an array"),
        ({"rows": [{"width": 1}, {"with": 1}]}, "f.toml: rows[1] has no key 'with'; did you mean width?"),
        ({"rows": [{}]}, "f.toml: rows[0] needs width"),
        (
            {"rows": [{"width": 1, "names": ["a", 2]}]},
            "f.toml: rows[0].names[1] is 2; expected `str`, got `int`",
        ),
        ({"by_name": {"a": {"width": "x"}}}, "f.toml: by_name.a.width is 'x'; expected `int`, got `str`"),
        ({"by_name": []}, "f.toml: by_name must be a table"),
        ({"sizes": {"smal": 1}}, "f.toml: sizes has no key 'smal'; did you mean small?"),
        ({"title": 1}, "f.toml: title is 1; expected `str`, got `int`"),
        ({"title": ""}, "f.toml: title must not be empty"),
        ([], "f.toml: must be a table"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_place(value: object, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        decode(value, Outer, "f.toml")
    assert str(caught.value) == said


def test_a_table_within_a_file_is_named_by_its_keys() -> None:
    with pytest.raises(UsageError, match=r"^f.toml: tool.x.rows must be an array$"):
        decode({"rows": 1}, Outer, "f.toml", at="tool.x")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a = ", "is not TOML"),
        (b"\xff", "is not text in UTF-8"),
        (b"#" * (5 << 20), "too large"),
        (b"a=" + b"[" * 5000, "is not TOML"),
    ],
)
def test_a_file_that_is_no_toml_is_refused_in_one_line(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=said) as caught:
        read_toml(path)
    assert "\n" not in str(caught.value)
