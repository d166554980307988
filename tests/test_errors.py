"""Errors: one line, whatever names a file brings."""

from modelinspect.errors import FormatError, LocationError


def test_a_name_from_a_file_cannot_break_the_line() -> None:
    assert (
        str(FormatError("is cut\n\x1b[31mshort", "a\nb.h5", 3))
        == "a\\nb.h5 at byte 3 (0x3): is cut\\n\\x1b[31mshort"
    )
    assert str(LocationError("no\r\nfile")) == "no\\r\\nfile"


def test_an_error_names_member_and_offset() -> None:
    problem = "block trailer needs 5 bytes but 3 are left"
    assert (
        str(FormatError(problem, "variables/variables.index", 512))
        == f"variables/variables.index at byte 512 (0x200): {problem}"
    )
    assert str(FormatError(problem)) == problem
