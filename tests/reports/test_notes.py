"""Notes about trouble: the same trouble is shown once, with how many places it has."""

from __future__ import annotations

from pathlib import Path

import modelinspect
from modelinspect.errors import Code
from modelinspect.reports.entries import DiagnosticEntry, diagnostic_notes
from tests.support.fixtures import fixture_path


def _entry(offset: int | None, problem: str = "is cut", severity: str = "warning") -> DiagnosticEntry:
    return DiagnosticEntry(severity=severity, problem=problem, member="m", offset=offset)


def test_the_same_trouble_at_several_places_is_one_note() -> None:
    entries = (
        _entry(9),
        _entry(9),
        _entry(20),
        _entry(30),
        _entry(7, "is odd"),
        _entry(None, "is bad", "error"),
    )
    notes = diagnostic_notes(entries, 8)
    assert [(note.severity, note.label, note.text) for note in notes.notes] == [
        ("error", "m", "is bad"),
        ("warning", "m at byte 9 (0x9) and 2 more places", "is cut"),
        ("warning", "m at byte 7 (0x7)", "is odd"),
    ]
    assert notes.left_out == 2


def test_what_is_not_shown_is_counted() -> None:
    notes = diagnostic_notes((_entry(9), _entry(10), _entry(7, "is odd"), _entry(7, "is odd")), 4, top=1)
    assert [note.label for note in notes.notes] == ["m at byte 9 (0x9) and 1 more place"]
    assert notes.left_out == 2


def test_a_group_whose_header_is_cut_is_not_called_an_unknown_object(tmp_path: Path) -> None:
    whole = fixture_path("mlp/original.h5").read_bytes()
    path = tmp_path / "cut.h5"
    for size in range(4_000, len(whole), 3_000):
        path.write_bytes(whole[:size])
        found = modelinspect.open(path).diagnostics
        assert found
        assert not [one for one in found if one.code is Code.UNSUPPORTED], size
