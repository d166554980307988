"""The wheel and the sdist build, hold what they need, and work alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from tests.support.corpus import PROJECT
from tests.support.fixtures import fixture_path

PACKAGE = PROJECT / "src" / "modelinspect"


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the sdist and, from it, the wheel."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", folder, PROJECT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def metadata(distributions: tuple[Path, Path]) -> Message:
    with zipfile.ZipFile(distributions[1]) as wheel:
        (name,) = (one for one in wheel.namelist() if one.endswith(".dist-info/METADATA"))
        return message_from_bytes(wheel.read(name))


def test_the_wheel_and_the_sdist_hold_every_file_of_the_package(distributions: tuple[Path, Path]) -> None:
    files = {
        f"modelinspect/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    with zipfile.ZipFile(distributions[1]) as wheel:
        assert files - set(wheel.namelist()) == set()
    with tarfile.open(distributions[0]) as sdist:
        names = {name.partition("/src/")[2] for name in sdist.getnames()}
        assert files - names == set()


def test_the_wheel_says_that_it_is_typed_and_stays_small(distributions: tuple[Path, Path]) -> None:
    wheel = distributions[1]
    with zipfile.ZipFile(wheel) as archive:
        assert "modelinspect/py.typed" in archive.namelist()
        data = {
            info.filename.rpartition("/")[2]: info.file_size
            for info in archive.infolist()
            if "/data/" in info.filename
        }
        assert set(data) == {"keras_names.json", "original.h5", "pruned.h5"}
        assert sum(data.values()) < 100_000
        assert not [name for name in archive.namelist() if name.startswith(("tests/", "fixtures/", "docs/"))]
    assert wheel.stat().st_size < 1_500_000


def test_the_base_install_asks_for_no_tensorflow(metadata: Message) -> None:
    base = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    names = {re.split(r"[\s<>=!~;\[]", line)[0].lower() for line in base}
    assert names == {
        "cramjam",
        "flatbuffers",
        "google-crc32c",
        "h5py",
        "jinja2",
        "markdown-it-py",
        "msgspec",
        "numpy",
        "protobuf",
        "rich",
        "typer",
    }
    extras = set(metadata.get_all("Provides-Extra", []))
    assert {"prune", "parquet", "remote"} <= extras


def test_every_base_dependency_is_imported_somewhere() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    for name in (
        "cramjam",
        "flatbuffers",
        "google_crc32c",
        "h5py",
        "jinja2",
        "markdown_it",
        "msgspec",
        "numpy",
        "google.protobuf",
        "rich",
        "typer",
    ):
        assert re.search(rf"^\s*(?:import|from) {re.escape(name)}\b", text, re.MULTILINE), name


def test_the_installed_wheel_works_without_the_sources(
    distributions: tuple[Path, Path], tmp_path: Path
) -> None:
    place = tmp_path / "site"
    with zipfile.ZipFile(distributions[1]) as wheel:
        wheel.extractall(place)
    environment = {**os.environ, "PYTHONPATH": str(place), "NO_COLOR": "1"}
    for arguments in (
        ["demo"],
        ["--version"],
        [fixture_path("keras_hdf5/normalized.h5")],
        [fixture_path("tflite/sparse_int8.tflite")],
        [fixture_path("saved_model/affine")],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "modelinspect", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    code = "import modelinspect; print(modelinspect.__file__)"
    where = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(place))
