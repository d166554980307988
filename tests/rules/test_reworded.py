"""What is found does not depend on messages: with other words everywhere, rules and causes find the same."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import modelinspect
from modelinspect.errors import FormatError, ModelInspectError
from modelinspect.formats import base
from modelinspect.formats.archives import compressed
from modelinspect.measure import run
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.reports.lint import LintReport
from tests.support.corpus import find_hostile
from tests.support.fixtures import fixture_names, fixture_path

_WHOLE = (
    "archives/model.h5.gz",
    "archives/model.zip",
    "keras_zip/deflated.keras",
    "keras_zip/model.keras",
    "litertlm/model.litertlm",
    "mlp/wrapped.h5",
    "safetensors_files/types.safetensors",
    "tflite/dynamic.tflite",
)

_LARGE = "03_million_before.keras"
"""Its configuration of millions of characters takes ten seconds to read, and is otherwise sound."""


def _samples(folder: Path) -> Iterator[Path]:
    """Yield files that are unsafe or damaged: those made for rules, hostile ones, and files cut short."""
    yield from (fixture_path(name) for name in fixture_names(under="unsafe"))
    hostile = find_hostile()
    if hostile is not None:
        files = sorted((hostile / "lint").iterdir())
        yield from (path for path in files if path.name != _LARGE)
    for name in _WHOLE:
        data = fixture_path(name).read_bytes()
        for parts in (1, 3):
            path = folder / f"{parts}-{Path(name).name}"
            path.write_bytes(data[: len(data) * parts // 4])
            yield path


def _scrambled(text: str) -> str:
    """Return other words for a message, the same for the same one."""
    return f"qx{zlib.crc32(text.encode('utf-8', 'replace')):08x}"


def _places(report: LintReport) -> Iterator[tuple[object, ...]]:
    return ((one.rule, one.severity, one.bytes, one.member, one.offset, one.size) for one in report.findings)


def _without_words(path: Path) -> tuple[object, ...]:
    """Return what lint and explain find, without their messages; the class of an error where they
    refuse.
    """
    try:
        lint, explain = modelinspect.lint(path), modelinspect.explain(path)
    except ModelInspectError as error:
        return (type(error).__name__,)
    return (
        sorted(map(repr, _places(lint))),
        sorted((one.cause, one.delta, one.evidence_count) for one in explain.causes),
    )


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return tuple(_samples(tmp_path_factory.mktemp("cut")))


@pytest.fixture(scope="module")
def found(samples: tuple[Path, ...]) -> dict[Path, tuple[object, ...]]:
    return {path: _without_words(path) for path in samples}


def test_with_other_words_the_same_is_found(
    found: dict[Path, tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    of_format, of_measure, diagnostic = FormatError.__init__, UnmeasurableError.__init__, base.Diagnostic

    def reword(text: str) -> str:
        made.append(text)
        return _scrambled(text)

    def make_error(self: FormatError, problem: str, *more: Any, **named: Any) -> None:
        of_format(self, reword(problem), *more, **named)

    def make_unmeasurable(self: UnmeasurableError, *words: Any) -> None:
        of_measure(self, *map(reword, map(str, words)))

    def make_diagnostic(severity: Any, problem: str, *more: Any) -> Any:
        return diagnostic(severity, reword(problem), *more)

    monkeypatch.setattr(FormatError, "__init__", make_error)
    monkeypatch.setattr(UnmeasurableError, "__init__", make_unmeasurable)
    for module in (base, compressed, run):
        monkeypatch.setattr(module, "Diagnostic", make_diagnostic)

    assert {path: _without_words(path) for path in found} == found
    assert len(set(made)) > 20, "the samples have trouble of many kinds"
