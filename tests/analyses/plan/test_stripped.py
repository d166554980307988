"""What `plan` says of files without optimizer, masks or wrappers is what Keras and tfmot make."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import modelinspect as mi
from modelinspect.measure.compressors import deflated_size
from modelinspect.measure.tarball import tar_stream
from tests.support.corpus import PROJECT

NETWORKS = ("mlp-2-1", "cnn-2-0", "separable-2-2")
FORMATS = (".h5", ".keras", ".weights.h5", "-checkpoint")
STATES = {"trained": "strip-optimizer", "wrapped": "strip-pruning"}
MOST_OFF, NAMED = 0.03, 18 + len("model.keras") + 1
"""How far predictions may be off, and what gzip adds around the stream."""
pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stripped")
    script = PROJECT / "tests" / "support" / "strip_for_real.py"
    subprocess.run(
        [sys.executable, str(script), str(folder), *NETWORKS], check=True, capture_output=True, timeout=1800
    )
    return folder


def _size(path: Path) -> int:
    return (
        path.stat().st_size
        if path.is_file()
        else sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    )


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("state", STATES)
def test_files_are_predicted_within_their_stated_errors(
    made: Path, network: str, kind: str, state: str
) -> None:
    (entry,) = mi.plan(made / network / f"{state}{kind}", only=[STATES[state]]).options
    real = _size(made / network / "after" / f"{state}{kind}")
    if entry.basis == "measured":
        assert entry.size == real
    assert abs(entry.size - real) / real <= (entry.error or 0.0), (entry.size, real)
    assert (entry.error or 0.0) <= 0.02 or real < 50_000, (
        "only of small files are the names too much of the whole"
    )


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("state", STATES)
def test_gzipped_sizes_are_those_of_the_real_files(made: Path, network: str, kind: str, state: str) -> None:
    (entry,) = mi.plan(made / network / f"{state}{kind}", only=[STATES[state]]).options
    path = made / network / "after" / f"{state}{kind}"
    real = deflated_size(
        [path.read_bytes()]
        if path.is_file()
        else tar_stream(
            (f"{path.name}/{file.name}", file.stat().st_size, [file.read_bytes()])
            for file in sorted(path.iterdir())
        )
    )
    if entry.download_size is None:
        assert (network, kind) == (
            "separable-2-2",
            "-checkpoint",
        ), "a small checkpoint is mostly an index, which is not predicted"
        return
    assert abs(entry.download_size - real) <= (MOST_OFF if entry.basis == "estimate" else 0) * real + NAMED
    assert ("the gzipped size is predicted, within 3 %" in entry.notes) == (entry.basis == "estimate")


def test_without_measuring_no_elements_are_read_to_be_compressed(made: Path) -> None:
    report = mi.plan(made / NETWORKS[0] / "trained.h5", only=["strip-optimizer"], measure=False)
    assert [entry.download_size for entry in report.options] == [None]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", [".h5", ".keras"])
def test_wrapped_models_have_the_forms_of_what_they_wrap(made: Path, network: str, kind: str) -> None:
    (entry,) = mi.plan(made / network / f"wrapped{kind}", only=["tflite-float32"]).options
    real = _size(made / network / "after" / "wrapped.tflite")
    assert abs(entry.size - real) / real <= max(entry.error or 0.0, 0.0), (entry.size, real)
    assert (entry.error or 0.0) <= 0.02


@pytest.mark.parametrize("network", NETWORKS)
def test_models_and_weights_without_optimizer_are_known_to_the_byte(made: Path, network: str) -> None:
    for kind in (".h5", ".weights.h5"):
        (entry,) = mi.plan(made / network / f"trained{kind}", only=["strip-optimizer"]).options
        assert (entry.basis, entry.size) == ("measured", _size(made / network / "after" / f"trained{kind}"))
