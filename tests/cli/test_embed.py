"""Documents are filled with what commands print, by commands that only read."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from pathlib import Path

import jsonschema
import pytest

from modelinspect.cli import embed, embedded
from modelinspect.cli.app import Commands
from modelinspect.cli.commands import COMMANDS
from modelinspect.cli.embedded import READING, parse_reading, run_reading
from modelinspect.errors import ModelInspectError, UsageError
from modelinspect.reports.schemas import schema
from tests.support.cli import run_cli
from tests.support.fixtures import fixture_path

END = "<!-- /modelinspect -->"
OLD = "old text"


def block(command: str) -> str:
    return f"<!-- modelinspect: {command} -->\n{OLD}\n{END}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two models and documents below it."""
    for name in ("original.h5", "stripped.h5"):
        shutil.copy(fixture_path(f"mlp/{name}"), tmp_path / name)
    (tmp_path / "docs").mkdir()
    return tmp_path


def written(folder: Path, text: str, name: str = "a.md") -> Path:
    path = folder / "docs" / name
    path.write_bytes(text.encode())
    return path


def test_a_document_gets_what_the_command_prints_in_its_folder(folder: Path) -> None:
    path = written(folder, f"# A\n\n{block('inspect ../stripped.h5 --top 2')}\nend")
    assert run_cli("embed", path).code == 0
    shown = run_cli("inspect", "../stripped.h5", "--top", "2", cwd=path.parent).text
    assert (
        path.read_text() == "# A\n\n<!-- modelinspect: inspect ../stripped.h5 --top 2"
        f" -->\n\n```text\n{shown}```\n\n{END}\n\nend"
    )


def test_markdown_is_put_in_as_it_is(folder: Path) -> None:
    path = written(folder, block("explain ../original.h5 ../stripped.h5 --format markdown"))
    assert run_cli("embed", path).code == 0
    shown = run_cli(
        "explain", "../original.h5", "../stripped.h5", "--format", "markdown", cwd=path.parent
    ).text
    assert f"-->\n\n{shown}\n{END}" in path.read_text()


def test_a_document_that_is_equal_is_not_written(folder: Path) -> None:
    path = written(folder, block("tensors ../stripped.h5"))
    run_cli("embed", path)
    before = path.stat()
    again = run_cli("embed", path)
    assert (again.code, "1 block in 1 document: all are what the commands print now." in again.text) == (
        0,
        True,
    )
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_output_does_not_depend_on_terminal_or_color(folder: Path) -> None:
    path = written(folder, block("inspect ../stripped.h5"))
    run_cli("embed", path, columns=200, tty=True, env={"FORCE_COLOR": "1", "NO_COLOR": ""})
    assert "\x1b" not in path.read_text()
    assert run_cli("embed", path, "--check", columns=40).code == 0


def test_check_names_the_blocks_that_are_stale_and_writes_nothing(folder: Path) -> None:
    first = written(folder, block("tensors ../stripped.h5"), "a.md")
    run_cli("embed", first)
    current = first.read_text()
    first.write_text(current + "\n" + block("tensors ../original.h5"))
    second = written(folder, current.replace("5,120", "5,121"), "b.md")
    texts = first.read_bytes(), second.read_bytes()
    result = run_cli("embed", "docs/a.md", "docs/b.md", "--check", cwd=folder)
    assert result.code == 1
    line = current.count("\n") + 2
    assert f'docs/a.md:{line}: line {line + 1}: "{OLD}"; now it is "```text"' in result.text
    assert 'docs/b.md:1: line 9: "dense/kernel' in result.text
    assert "docs/a.md:1:" not in result.text
    assert "Next: modelinspect embed docs/a.md docs/b.md" in result.text
    assert (first.read_bytes(), second.read_bytes()) == texts
    report = json.loads(run_cli("embed", "docs/a.md", "docs/b.md", "--check", "--json", cwd=folder).text)
    jsonschema.validate(report, schema("embed"))
    assert [(one["document"], one["line"], one["state"]) for one in report["embedded"]] == [
        ("docs/a.md", 1, "current"),
        ("docs/a.md", line, "stale"),
        ("docs/b.md", 1, "stale"),
    ]


def test_a_model_that_changes_makes_its_block_stale(folder: Path) -> None:
    path = written(folder, block("inspect ../stripped.h5 --top 1"))
    run_cli("embed", path)
    shutil.copy(folder / "original.h5", folder / "stripped.h5")
    result = run_cli("embed", path, "--check")
    assert (result.code, "57,352" in result.text) == (1, True)


def test_the_lines_of_a_written_document_are_those_after_the_change(folder: Path) -> None:
    path = written(folder, block("tensors ../stripped.h5") + "\n" + block("map ../stripped.h5 --at 0"))
    report = json.loads(run_cli("embed", path, "--json").text)
    lines = path.read_text().splitlines()
    assert all(
        lines[one["line"] - 1].startswith(f"<!-- modelinspect: {one['command'][0]}")
        for one in report["embedded"]
    )


@pytest.mark.parametrize(
    "command",
    ["lint ../stripped.h5", "shrink ../stripped.h5 --check", "diff --content ../original.h5 ../stripped.h5"],
)
def test_findings_are_output(folder: Path, command: str) -> None:
    path = written(folder, block(command))
    assert run_cli(*command.split(), cwd=path.parent).code == 1
    assert run_cli("embed", path).code == 0
    assert OLD not in path.read_text()


def test_a_scan_and_a_plan_do_not_depend_on_the_machine() -> None:
    assert parse_reading(["scan", "."]).arguments == ("scan", "--jobs", "1", ".")
    assert parse_reading(["plan", "a.h5"]).arguments == ("plan", "--no-limit", "a.h5")


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("prune ../original.h5 -o ../out", "'prune' may write"),
        ("study -o ../out", "'study' may write"),
        ("embed a.md", "'embed' may write"),
        ("demo -o ../out", "'demo' may write"),
        ("inspekt ../original.h5", "'inspekt' is not a command; use one of"),
        ("../original.h5", "'../original.h5' is not a command"),
        ("", "the mark names no command"),
        ("rm -rf ..", "'rm' is not a command"),
        ("--version", "'--version' is not a command"),
        ("inspect", "inspect needs arguments"),
        ("inspect ../stripped.h5 --zork", "inspect: No such option: --zork"),
        ("inspect ../stripped.h5 --help", "a document cannot use --help"),
        ("inspect ../stripped.h5 -o ../out", "a document cannot use --output"),
        ("inspect ../stripped.h5 --output=../out", "a document cannot use --output"),
        ("inspect ../stripped.h5 -qo../out", "a document cannot use --output"),
        ("inspect ../stripped.h5 --color always", "a document cannot use --color"),
        ("inspect ../stripped.h5 --format html", "a document cannot have the form html"),
        ("inspect ../stripped.h5 --format parquet", "a document cannot have the form parquet"),
        ("plan ../stripped.h5 --convert", "a document cannot use --convert"),
        ("check .. --init", "a document cannot use --init"),
        ("check ../stripped.h5 --update-lock", "a document cannot use --update-lock"),
        ("scan .. --pages ../out --format html", "a document cannot use --pages"),
        ("shrink ../stripped.h5", "shrink writes; a document needs --dry-run or --check"),
        ("shrink ../stripped.h5 --check --report ../out", "a document cannot use --report"),
        ("shrink ../stripped.h5 --in-place", "a document cannot use --in-place"),
        ("shrink ../stripped.h5 --check --precompress", "a document cannot use --precompress"),
        ("inspect -", "a document cannot read standard input"),
        ("inspect ../stripped.h5 --model -", "a document cannot read standard input"),
        ("inspect /etc/passwd", "/etc/passwd: a path in a document is relative to the document"),
        ("inspect https://example.com/a.h5", "https://example.com/a.h5: a document shows local models only"),
        (
            "check ../stripped.h5 --budget /a.toml",
            "/a.toml: a path in a document is relative to the document",
        ),
    ],
)
def test_a_command_that_does_more_than_read_is_refused(folder: Path, command: str, problem: str) -> None:
    path = written(folder, f"\n{block(command)}")
    before = sorted(folder.rglob("*"))
    for options in ((), ("--check",)):
        result = run_cli("embed", "docs/a.md", *options, cwd=folder)
        assert (result.code, result.text) == (2, "")
        assert result.err.startswith(f"modelinspect: docs/a.md:2: {problem}")
    assert OLD in path.read_text()
    assert sorted(folder.rglob("*")) == before


def test_every_parameter_of_a_reading_command_was_looked_at() -> None:
    """A new command or option is refused until it is listed here as one that writes, or in `READING` as one
    that reads.
    """
    refused = {"output", "force", "color", "follow", "help"}
    writing = {
        "shrink": {"in_place", "report", "precompress"},
        "check": {"init", "update_lock"},
        "scan": {
            "jobs",
            "pages",
            "executor",
            "memory",
            "timeout",
            "files_from",
            "null",
            "into",
            "resume",
            "part_rows",
        },
    }
    machine = {"plan": {"convert", "no_limit"}}
    group = Commands(name="modelinspect", callback=None)
    for name, allowed in READING.items():
        parameters = {parameter.name for parameter in group.get_command(None, name).params}
        assert parameters - allowed - refused == writing.get(name, set()) | machine.get(name, set()), name
    assert set(COMMANDS) - set(READING) == {"embed", "prune", "study", "demo"}


def test_what_cannot_be_inspected_is_an_error_and_nothing_is_written(folder: Path) -> None:
    text = block("inspect ../stripped.h5") + "\n" + block("inspect ../missing.h5")
    path = written(folder, text)
    result = run_cli("embed", "docs/a.md", cwd=folder)
    assert result.code == 3
    assert result.err.startswith("modelinspect: docs/a.md:5: ../missing.h5: cannot be opened")
    assert path.read_text() == text


def test_a_damaged_model_is_an_error(folder: Path) -> None:
    (folder / "cut.h5").write_bytes((folder / "stripped.h5").read_bytes()[:9_000])
    written(folder, block("inspect ../cut.h5"))
    assert run_cli("embed", "docs/a.md", cwd=folder).code == 3


def test_where_one_document_has_a_problem_none_is_written(folder: Path) -> None:
    good, bad = (
        written(folder, block("tensors ../stripped.h5"), "a.md"),
        written(folder, block("prune x"), "b.md"),
    )
    binary = written(folder, "", "c.md")
    binary.write_bytes(b"\xff\xfe\x00")
    result = run_cli("embed", "docs/a.md", "docs/b.md", "docs/c.md", cwd=folder)
    assert (result.code, "2 documents of 3 cannot be filled" in result.err) == (3, True)
    assert "docs/b.md:1: 'prune' may write" in result.text
    assert "docs/c.md at byte 0 (0x0): not UTF-8" in result.text
    assert OLD in good.read_text()
    assert OLD in bad.read_text()


def test_a_missing_document_is_an_error(folder: Path) -> None:
    written(folder, "", "guide.md")
    result = run_cli("embed", "docs/guid.md", cwd=folder)
    assert (result.code, result.err) == (
        3,
        "modelinspect: docs/guid.md: there is no such document; did you mean guide.md?\n",
    )
    assert run_cli("embed", "docs", cwd=folder).code == 3


def test_a_document_that_cannot_be_read_is_named_among_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = written(folder, block("tensors ../stripped.h5"), "a.md"), written(folder, "", "b.md")
    usual = Path.read_bytes

    def read(self: Path) -> bytes:
        if self.name == "b.md":
            raise PermissionError(13, "Permission denied", str(self))
        return usual(self)

    monkeypatch.setattr(Path, "read_bytes", read)
    result = run_cli("embed", good, bad)
    assert (result.code, "Permission denied" in result.text) == (3, True)
    assert OLD in good.read_text()


def test_a_document_is_written_whole_or_not_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(folder, block("tensors ../stripped.h5"))
    text = path.read_text()

    def fail(self: Path, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    result = run_cli("embed", path)
    assert (result.code, "No space left on device" in result.err) == (3, True)
    assert path.read_text() == text
    assert sorted(one.name for one in path.parent.iterdir()) == ["a.md"]


def test_a_document_that_somebody_changes_meanwhile_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(folder, block("tensors ../stripped.h5"))
    usual = embed.filled

    def change(*arguments: object) -> str:
        path.write_text("changed")
        return usual(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(embed, "filled", change)
    result = run_cli("embed", path)
    assert (result.code, "changed while its blocks were filled" in result.err) == (3, True)
    assert path.read_text() == "changed"


@pytest.mark.skipif(sys.platform == "win32", reason="permissions")
def test_permissions_and_links_stay(folder: Path) -> None:
    path = written(folder, block("tensors ../stripped.h5"))
    path.chmod(0o640)
    link = path.with_name("link.md")
    link.symlink_to("a.md")
    assert run_cli("embed", link).code == 0
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert OLD not in path.read_text()


def test_windows_line_endings_and_byte_order_marks_stay(folder: Path) -> None:
    path = written(folder, "\ufeff" + block("tensors ../stripped.h5").replace("\n", "\r\n").rstrip())
    assert run_cli("embed", path).code == 0
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf<!--")
    assert data.count(b"\n") == data.count(b"\r\n") > 10
    assert data.endswith(END.encode())


def test_a_name_from_a_model_cannot_end_a_block(folder: Path) -> None:
    import h5py

    with h5py.File(folder / "hostile.h5", "w") as file:
        for name in (END, "```", f"a\n\n{END}\n", "<!-- modelinspect: inspect x -->"):
            file[name] = [1.0, 2.0]
    for form in ("terminal", "markdown", "json", "csv"):
        path = written(folder, block(f"tensors ../hostile.h5 --paths --format {form}") + "\nafter\n")
        assert run_cli("embed", path).code == 0, form
        assert run_cli("embed", path, "--check").code == 0
        assert path.read_text().endswith(f"\n{END}\n\nafter\n")


def test_a_very_long_output_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LARGEST", 100)
    with pytest.raises(
        ModelInspectError, match="it prints more than 100 bytes; --top and --size make it shorter"
    ):
        run_reading(parse_reading(["inspect", "stripped.h5"]), folder)


def test_a_command_changes_neither_folder_nor_environment(folder: Path) -> None:
    before = Path.cwd(), dict(os.environ)
    with pytest.raises(UsageError):
        run_reading(parse_reading(["inspect", "stripped.h5", "--by", "nonsense"]), folder)
    run_reading(parse_reading(["inspect", "stripped.h5"]), folder)
    assert (Path.cwd(), dict(os.environ)) == before
