"""What `inspect` estimates to be saved is never more than what `shrink` saves, and is most of it."""

from __future__ import annotations

import io

import pytest
from msgspec.structs import replace

import modelinspect
from modelinspect.renderers.look import Look
from modelinspect.renderers.registry import OutputFormat, render
from modelinspect.reports.blocks import Commands
from modelinspect.reports.inspect import InspectReport
from tests.support.fixtures import fixture_path

SAVED = {
    "hdf5_structures/old_contiguous.h5": "datasets without elements, and few bytes in all",
    "keras3_hdf5/nested.weights.h5": "many groups: the structures of the new file take most",
    "keras_hdf5/normalized.h5": "traces of an optimizer, texts in attributes",
    "keras_zip/model.keras": "an archive whose members are stored",
    "mlp/stripped.h5": "zeros",
    "stories/exported": "tensors stored twice in a SavedModel",
}
SILENT = {
    "archives/model.h5.gz": "shrink leaves the outer file alone",
    "hdf5_structures/old_trailing.h5": "shrink refuses bytes after the HDF5 content",
    "keras_zip/deflated.keras": "it is compressed already",
    "pruned_mlp/stripped/gzip.h5": "it is compressed already",
    "stablehlo/jax2tf": "what is stored again is in a program, which shrink does not change",
    "tflite/dense.tflite": "a TFLite model is packed as far as it goes",
}


@pytest.mark.parametrize("name", SAVED)
def test_shrink_saves_what_was_estimated_or_more(name: str) -> None:
    path = fixture_path(name)
    saving = modelinspect.inspect(path).lossless_saving
    assert saving is not None
    saved = modelinspect.shrink(path).saved
    assert 0.3 * saved <= saving.size <= saved


@pytest.mark.parametrize("name", SILENT)
def test_nothing_is_estimated_where_nothing_is_known(name: str) -> None:
    assert modelinspect.inspect(fixture_path(name)).lossless_saving is None


@pytest.mark.parametrize("form", [OutputFormat.TERMINAL, OutputFormat.MARKDOWN, OutputFormat.HTML])
def test_every_form_says_the_saving_in_its_first_sentence(form: OutputFormat) -> None:
    out = io.StringIO()
    render(modelinspect.inspect(fixture_path("mlp/stripped.h5")), form, out, Look(width=200))
    text = out.getvalue().replace("\\u00a0", " ").replace("\xa0", " ")  # a page has its texts as JSON
    assert "an estimated 10.8 KiB or more can be saved losslessly" in text


def test_without_measurements_zeros_do_not_count() -> None:
    path = fixture_path("mlp/stripped.h5")
    whole, part = modelinspect.inspect(path), modelinspect.inspect(path, measure=False)
    assert whole.lossless_saving is not None
    assert part.lossless_saving is None or part.lossless_saving.size < whole.lossless_saving.size


def test_shrink_is_the_next_command_only_for_files_of_this_machine() -> None:
    report = modelinspect.inspect(fixture_path("mlp/stripped.h5"))
    there = replace(report, artifact=replace(report.artifact, location="https://example.com/stripped.h5"))
    assert "modelinspect shrink " in _commands(report)
    assert "modelinspect shrink " not in _commands(there)
    assert "modelinspect plan " in _commands(there)


def _commands(report: InspectReport) -> str:
    return "".join(
        one.line for block in report.blocks() if isinstance(block, Commands) for one in block.commands
    )
