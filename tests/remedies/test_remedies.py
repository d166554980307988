"""Every remedy of the table is proved by following what the tool prints, and nothing is printed that the
table has not.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import modelinspect as mi
from modelinspect import api
from modelinspect.remedies import Language, Remedy, example
from modelinspect.remedies.causes import REMEDIES
from modelinspect.renderers.look import Look
from modelinspect.renderers.registry import OutputFormat, render
from modelinspect.reports.answer import Advisor
from modelinspect.reports.base import Report
from modelinspect.reports.blocks import Notes
from modelinspect.reports.causes import Cause
from modelinspect.reports.explain import ExplainReport
from modelinspect.rules.registry import wasteful_rules as rules
from tests.analyses.test_compare_fixtures import PAIRS
from tests.cases.bank import build, cases
from tests.cases.conftest import cases_root
from tests.cases.test_cases import NEEDS
from tests.remedies.all_proofs import all_proofs
from tests.support.corpus import PROJECT, corpus
from tests.support.fixtures import FOLDER, fixture_names, fixture_path
from tests.support.remedies import code_of, remedy_of

__all__ = ["cases_root"]

BUILT = [
    name
    for name in ("tensorflow", "keras", "tf_keras", "tensorflow_model_optimization")
    if find_spec(name) is None
]
TOOLS = [name for name in ("h5repack", "gzip", "gunzip", "tar") if shutil.which(name) is None]
_NARROW = 74
_SEED = "1"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run all proofs, in one process with TensorFlow; return what went wrong with each."""
    if BUILT or TOOLS:
        pytest.skip(f"needs {', '.join(BUILT + TOOLS)}")
    folder = tmp_path_factory.mktemp("proofs")
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONPATH": str(PROJECT),
    }
    environment.pop("TF_USE_LEGACY_KERAS", None)
    command = [sys.executable, "-W", "ignore", "-m", "tests.remedies.run_proofs", str(folder), _SEED]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    found: dict[str, str] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", list(all_proofs()))
def test_the_printed_remedy_does_what_it_says(name: str, results: dict[str, str]) -> None:
    assert results[name] == ""


def test_every_remedy_has_a_proof() -> None:
    proved = {remedy for proof in all_proofs().values() for remedy in proof.remedies}
    assert set(Remedy) - proved == set()


def test_every_remedy_is_one_that_a_rule_a_cause_or_a_plan_gives() -> None:
    given = {remedy for rule in rules() for remedy in rule.remedies} | {
        remedy for found in REMEDIES.values() for remedy in found
    }
    planned = {Remedy.REPACK_HDF5, Remedy.REPACK_GZIP_HDF5, Remedy.CANONICAL_HDF5}
    assert set(Remedy) == given | planned
    assert not given & planned


@pytest.mark.parametrize("remedy", Remedy, ids=lambda remedy: remedy.slug)
def test_a_remedy_is_a_line_of_words_and_short_lines_of_code(remedy: Remedy) -> None:
    shown = example(remedy)
    assert "\n" not in shown.words
    assert "{" not in shown.words
    assert (remedy.text.language is Language.NONE) == (shown.code == "")
    assert all(len(line) <= _NARROW for line in shown.code.split("\n"))
    if remedy.text.language is Language.PYTHON:
        compile(shown.code, remedy.slug, "exec")
        assert "; " not in shown.code
    if shown.words:
        assert remedy_of(shown.text) is remedy


def check(report: ExplainReport, narrow: bool = False) -> Iterator[Remedy]:
    """Yield the remedies that a report prints; each is one of those that its rule or cause may have."""
    known = {rule.id: rule.remedies for rule in rules()}
    for finding in report.findings:
        if finding.remedy:
            assert remedy_of(finding.remedy) in known[finding.rule], (finding.rule, finding.remedy)
            yield remedy_of(finding.remedy)
    for entry in report.causes:
        if entry.remedy:
            assert entry.delta > 0
            assert remedy_of(entry.remedy) in REMEDIES[Cause(entry.cause)], (entry.cause, entry.remedy)
            yield remedy_of(entry.remedy)
    for text in (finding.remedy for finding in report.findings if narrow):
        long = [
            line for line in code_of(text).split("\n") if len(line) > _NARROW and "modelinspect " not in line
        ]
        assert not long, long


def test_all_that_is_printed_of_fixtures_comes_from_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[Remedy] = set()
    for name in map(Path, fixture_names()):
        monkeypatch.chdir(FOLDER / name.parent)
        seen.update(check(mi.explain(name.name), narrow=len(name.name) <= 16))
    assert len(seen) >= 28


def test_all_that_is_printed_of_pairs_comes_from_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    seen: set[Remedy] = set()
    for before, after in PAIRS:
        seen.update(check(mi.explain(before, after)))
    for before, after in (
        ("pruned_mlp/stripped/model.h5", "pruned_mlp/stripped/model.keras"),
        ("mlp/original.h5", "mlp/wrapped.h5"),
    ):
        seen.update(check(mi.explain(before, after)))
    assert Remedy.COMPARE_STORAGE in seen


@pytest.mark.tensorflow
@pytest.mark.parametrize("script", sorted({case.builder or "" for case in cases()}))
def test_all_that_is_printed_of_the_case_bank_comes_from_the_table(script: str, cases_root: Path) -> None:
    if script in NEEDS and find_spec(NEEDS[script]) is None:
        pytest.skip(f"needs {NEEDS[script]}")
    root = build(script, cases_root) if script else cases_root
    for case in cases():
        if (case.builder or "") == script:
            before, after = case.paths(root)
            list(check(mi.explain(before, after)))
            list(check(mi.explain(after)))


@pytest.mark.corpus
@pytest.mark.skipif(shutil.which("h5repack") is None, reason="needs h5repack (hdf5-tools)")
def test_what_commands_are_said_to_do_they_do_on_real_files(tmp_path: Path) -> None:
    """Every HDF5 file of the corpus: `h5repack` or `shrink` works, and the file is smaller or what was hidden
    is gone.
    """
    made = tmp_path / "made.h5"
    followed = 0
    paths = sorted(path for path in corpus().rglob("*") if path.suffix in (".h5", ".hdf5") and path.is_file())
    for path in (path for path in paths if path.stat().st_size < 1 << 20):
        try:
            report = mi.explain(path, compressors=False)
        except mi.ModelInspectError:
            continue
        for finding in report.findings:
            command = code_of(finding.remedy).split("\n")[-1].split(" ")
            made.unlink(missing_ok=True)
            if command[0] == "h5repack":
                subprocess.run([*command[:-2], path, made], check=True, capture_output=True)
            elif command[:2] == ["modelinspect", "shrink"]:
                done = mi.shrink(path, made)
                if path.name in _REFUSED:
                    assert done.outcome == "refused"
                    assert done.reason
                    continue
                assert done.after is not None, (finding.rule, path, done.reason)
            else:
                continue
            followed += 1
            if finding.rule == "hidden-bytes":
                left = {found.rule for found in mi.explain(made, compressors=False).findings}
                assert "hidden-bytes" not in left or path.name in _LEFT, path
            else:
                assert made.stat().st_size < path.stat().st_size, (finding.rule, path)
    assert followed >= 10  # rules have minimums since round 2: most of these files have less to gain


_REFUSED = ("h5stat_filters.h5", "tfilters.h5")
"""Files with named datatypes, which `shrink` does not write again: it says so and writes nothing."""
_LEFT = ("tsizeslheap.h5",)
"""Where h5repack itself writes bytes of its own into a local heap."""


def test_all_that_lint_prints_is_the_remedy_of_its_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    known = {rule.id: rule.remedies for rule in rules()}
    count = 0
    for name in fixture_names(under="unsafe") + fixture_names(under="pruned_mlp"):
        report = mi.lint(name)
        told = {rule.id: rule.remedy for rule in report.rules}
        for finding in report.findings:
            count += 1
            if finding.rule in known:
                assert not finding.remedy or remedy_of(finding.remedy) in known[finding.rule]
            else:
                is_shown = finding.rule == "hidden-content" and remedy_of(finding.remedy) in (
                    Remedy.LOOK,
                    Remedy.LOOK_AND_REPACK,
                )
                assert is_shown or finding.remedy == told[finding.rule], finding.rule
    assert count > 60


def shown(report: Report, format: OutputFormat, width: int = 80) -> str:
    out = io.StringIO()
    render(report, format, out, Look(width=width))
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_code_is_printed_as_it_is_whatever_the_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fixture_path("pruned_mlp/wrapped"))
    report = mi.explain("model.h5")
    text = shown(report, OutputFormat.TERMINAL, width)
    assert text == shown(report, OutputFormat.TERMINAL, width)
    checked = 0
    for finding in report.findings:
        code = code_of(finding.remedy).split("\n")
        if "".join(code):
            block = "".join(f"{('      ' + line).rstrip()}\n" for line in code)
            assert block in (
                text if len(code) <= 3 else _whole(finding.rule, "model.h5", OutputFormat.TERMINAL, width)
            ), finding.rule
            checked += 1
    assert checked >= 4


def _whole(rule: str, location: str | Path, form: OutputFormat, width: int = 80) -> str:
    """Return what `explain RULE PATH` prints, where code of any length is."""
    meaning = api.meaning(rule, str(location))
    assert meaning is not None
    return shown(meaning, form, width)


def test_code_stands_in_blocks_in_markdown() -> None:
    report = mi.explain(fixture_path("pruned_mlp/stripped/model.h5"))
    text = shown(report, OutputFormat.MARKDOWN)
    for finding in report.findings:
        if code := code_of(finding.remedy):
            block = (
                "  ```\n" + "".join(f"{('  ' + line).rstrip()}\n" for line in code.split("\n")) + "  ```\n"
            )
            is_short = code.count("\n") < 3
            path = fixture_path("pruned_mlp/stripped/model.h5")
            assert block in (text if is_short else _whole(finding.rule, path, OutputFormat.MARKDOWN)), (
                finding.rule
            )


def test_code_that_stands_above_is_not_printed_again_unless_it_is_short() -> None:
    code = "a = 1\nb = 2\nc = 3"
    advisor = Advisor()
    first, second = (advisor.note("note", label, "found", f"do this:\n{code}") for label in ("one", "two"))
    assert (first.remedy, first.code) == ("do this:", code)
    assert (second.remedy, second.code) == ("do this, as for one above", "")
    path = fixture_path("pruned_mlp/stripped/model.keras")
    text = shown(mi.explain(path), OutputFormat.TERMINAL)
    assert text.count(f"modelinspect shrink {shlex.quote(str(path))} -o smaller.keras") == 2


def test_long_code_of_a_plan_is_printed_whole_by_the_command_that_stands_for_it() -> None:
    path = fixture_path("pruned_mlp/stripped/model.h5")
    report = mi.plan(path)
    text = " ".join(shown(report, OutputFormat.TERMINAL).split())
    long = [entry for entry in report.options if entry.command.count("\n") >= 3]
    assert len([entry for entry in long if entry.option.startswith("tflite-")]) >= 5
    assert "TFLiteConverter" not in text
    for entry in long:
        assert f"--only {entry.option}" in text
        whole = shown(mi.plan(path, only=[entry.option]), OutputFormat.TERMINAL)
        assert "".join(f"{('      ' + line).rstrip()}\n" for line in entry.command.split("\n")) in whole, (
            entry.option
        )


@pytest.mark.parametrize(
    "name",
    [
        "pruned_mlp/stripped/model.h5",
        "pruned_mlp/wrapped/model.keras",
        "saved_model/keras",
        "checkpoint/adam/model",
    ],
)
def test_what_the_terminal_shows_of_a_plan_says_every_command(name: str) -> None:
    """Code that is shown in part is the whole once its lines take the place of those that are like them."""
    report = mi.plan(fixture_path(name))
    notes = next(block for block in report.blocks() if isinstance(block, Notes)).notes
    whole: dict[str, list[str]] = {}
    for note, entry in zip(notes, (entry for entry in report.options if entry.command), strict=True):
        lines = note.code.split("\n") if note.code else []
        told = re.fullmatch(r"as for (\S+) above(?:, (but|but ending with):)?", note.remedy)
        if told:
            kept = whole[told[1]]
            lines = kept if not told[2] else put(kept, lines, at_end=told[2] != "but")
        whole[note.label] = lines
        assert entry.option == note.label
        assert lines == entry.command.split("\n")


def put(kept: list[str], lines: list[str], *, at_end: bool) -> list[str]:
    """Put lines where somebody would who reads them: at the end, or over those that set the same."""
    if at_end:
        return kept[: -len(lines)] + lines
    named = lines[0].split(" = ")[0]
    place = next(index for index, line in enumerate(kept) if line.split(" = ")[0] == named)
    end = place + 1
    while " = " in kept[end] and kept[end].startswith("converter."):
        end += 1
    return kept[:place] + lines + kept[end:]


def test_a_name_cannot_leave_the_quotes_of_a_command(tmp_path: Path) -> None:
    name = "it's; rm -rf $HOME `x` \".h5"
    shutil.copy(fixture_path("mlp/stripped.h5"), tmp_path / name)
    code = {finding.rule: code_of(finding.remedy) for finding in mi.explain(tmp_path / name).findings}[
        "dense-zeros"
    ]
    done = subprocess.run(f"printf '%s\\n' {code}", shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:5] == ["modelinspect", "shrink", str(tmp_path / name), "-o", "smaller.h5"]
    (entry,) = mi.plan(tmp_path / name, only=["hdf5-repack"]).options
    assert repr(str(tmp_path / name)) in entry.command
