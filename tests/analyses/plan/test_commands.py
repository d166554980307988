"""Every printed command makes a file of the printed size."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import h5py
import pytest

import modelinspect as mi
from modelinspect.analyses.plan.base import Planning
from modelinspect.analyses.plan.content import stream
from modelinspect.api import opened
from modelinspect.measure.rewrite import _without_times
from modelinspect.measure.tarball import TAR
from modelinspect.networks.subject import Subject
from tests.support.corpus import PROJECT
from tests.support.fixtures import FOLDER, fixture_names, fixture_path

BIN = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


def shell(command: str, folder: Path) -> None:
    subprocess.run(
        command, shell=True, check=True, cwd=folder, env={**os.environ, "PATH": BIN}, capture_output=True
    )


def copied(name: str, folder: Path) -> Path:
    path = fixture_path(name)
    target = folder / path.name
    if path.is_dir():
        shutil.copytree(path, target)
    elif not path.exists():  # the prefix of a checkpoint
        for part in path.parent.glob(f"{path.name}.*"):
            shutil.copy(part, folder)
    else:
        shutil.copy(path, target)
    return target


def made(path: Path, option: str, folder: Path) -> tuple[int, Path]:
    """Run the command of an option; return the predicted size and the file that came of it."""
    before = set(folder.rglob("*"))
    (entry,) = mi.plan(path, only=[option]).options
    shell(entry.command, folder)
    (new,) = set(folder.rglob("*")) - before
    return entry.size, new


@pytest.mark.parametrize(
    "name", ["mlp/original.h5", "tflite/sparse.tflite", "keras_zip/model.keras", "graph_def/frozen.pb"]
)
def test_gzip_of_a_file_has_the_printed_size(name: str, tmp_path: Path) -> None:
    size, file = made(copied(name, tmp_path), "gzip-9", tmp_path)
    assert file.stat().st_size == size


@pytest.mark.skipif(shutil.which("gunzip") is None, reason="needs gunzip")
@pytest.mark.parametrize("end", [".gz", ".bin"])
def test_a_gzip_file_is_compressed_anew_from_what_it_holds(end: str, tmp_path: Path) -> None:
    """A compressor makes nothing smaller of what another one wrote."""
    plain = copied("mlp/stripped.h5", tmp_path)
    bare = {entry.option: entry.size for entry in mi.plan(plain).options}
    path = tmp_path / f"model.h5{end}"
    path.write_bytes(gzip.compress(plain.read_bytes(), 6))
    kept = path.read_bytes()
    for option in ("gzip-9", "zstd-19", "brotli-11"):
        if option == "gzip-9":
            size, file = made(path, option, tmp_path)
            assert file.stat().st_size == size == bare[option] - len(b"stripped.h5\0")
            assert gzip.decompress(file.read_bytes()) == plain.read_bytes()
            assert path.read_bytes() == kept
        else:
            (entry,) = mi.plan(path, only=[option]).options
            assert entry.size == bare[option]
            assert entry.command.startswith(f"gunzip -c {path.name} | ")


def test_a_compressor_that_makes_nothing_smaller_is_left_out_unless_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=9) as packed:
        packed.write(fixture_path("mlp/stripped.h5"), "stripped.h5")
    report = mi.plan(path)
    (entry,) = mi.plan(path, only=["gzip-9"]).options
    assert entry.size > path.stat().st_size
    assert "gzip-9" not in {option.option for option in report.options}
    assert f"gzip-9: not smaller: {entry.size:,} bytes" in report.left_out


@pytest.mark.parametrize(("name", "options"), [("mlp/stripped.h5", "hdf5-gzip, hdf5-repack")])
@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_what_writes_a_file_again_is_left_out_where_it_stands_within_an_archive(
    name: str, options: str, method: int, tmp_path: Path
) -> None:
    path = tmp_path / "model.zip"
    with ZipFile(path, "w", method) as packed:
        packed.write(fixture_path(name), Path(name).name)
    report = mi.plan(path)
    assert f"{options}: not available inside an archive: unpack it first" in report.left_out
    assert not set(options.split(", ")) & {option.option for option in report.options}


@pytest.mark.skipif(shutil.which("tar") is None or sys.platform != "linux", reason="needs GNU tar")
@pytest.mark.parametrize("name", ["saved_model/keras", "tfjs/layers", "checkpoint/adam/model"])
def test_gzip_of_a_folder_has_the_printed_size(name: str, tmp_path: Path) -> None:
    size, file = made(copied(name, tmp_path), "gzip-9", tmp_path)
    assert file.stat().st_size == size
    assert file.name.endswith(".tar.gz")


@pytest.mark.skipif(shutil.which("tar") is None or sys.platform != "linux", reason="needs GNU tar")
def test_the_tar_stream_is_that_of_gnu_tar(tmp_path: Path) -> None:
    """Also of a folder whose files have names too long for one header."""
    path = copied("saved_model/keras", tmp_path)
    deep = path / "assets" / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    (deep / "words.txt").write_bytes(b"x" * 700)
    with opened(path) as (artifact, files):
        ours = b"".join(stream(Planning(Subject(artifact, open_files=files))))
    command = f"find {path.name} -type f | LC_ALL=C sort | {TAR} -T -"
    assert ours == subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, check=True).stdout


@pytest.mark.skipif(shutil.which("zstd") is None, reason="needs the zstd tool")
def test_zstd_has_nearly_the_printed_size(tmp_path: Path) -> None:
    size, file = made(copied("mlp/stripped.h5", tmp_path), "zstd-19", tmp_path)
    assert abs(file.stat().st_size - size) <= 0.01 * size


def test_brotli_has_nearly_the_size_of_the_library_in_c(tmp_path: Path) -> None:
    brotli = pytest.importorskip("brotli")
    path = fixture_path("mlp/stripped.h5")
    (entry,) = mi.plan(path, only=["brotli-11"]).options
    assert abs(len(brotli.compress(path.read_bytes(), quality=11)) - entry.size) <= 0.01 * entry.size


TFLITE = (
    "tflite-float32",
    "tflite-float16",
    "tflite-dynamic-int8",
    "tflite-sparse",
    "tflite-dynamic-int8-sparse",
)
SHORT = 10
"""Names this long leave lines of code within 74 columns."""


def test_code_has_a_statement_a_line_and_short_lines() -> None:
    """Of every option of every fixture; the artifact's name, as it was given, may take more."""
    seen = set()
    for name in fixture_names():
        if not name.startswith(("unsafe", "tflite_handbuilt", "hdf5_structures")):
            for entry in mi.plan(
                FOLDER / name, only=[*TFLITE, "strip-optimizer", "strip-pruning", "zip-deflate", "hdf5-gzip"]
            ).options:
                seen.add(entry.option)
                more = max(len(str(FOLDER / name)) - SHORT, 0)
                assert all(
                    len(line) <= 74 + more and "; " not in line for line in entry.command.split("\n")
                ), (name, entry.command)
    assert len(seen) == 9


def test_the_forms_of_one_model_differ_in_their_settings_alone() -> None:
    options = mi.plan(fixture_path("pruned_layers/cnn/stripped/model.h5"), only=TFLITE).options
    codes = [entry.command.split("\n") for entry in options]
    assert len(codes) == len(TFLITE)
    assert len({(tuple(lines[:5]), lines[-1]) for lines in codes}) == 1
    assert len({tuple(lines[5:-1]) for lines in codes}) == len(TFLITE)


@pytest.mark.skipif(shutil.which("h5repack") is None, reason="needs h5repack (hdf5-tools)")
def test_h5repack_makes_files_of_about_the_same_size(tmp_path: Path) -> None:
    """What docs/guide/plan.md says of it."""
    arguments = {"hdf5-gzip": ["-L", "-f", "GZIP=9"], "hdf5-repack": ["-L"]}
    ratios: dict[str, list[float]] = {option: [] for option in arguments}
    for name in fixture_names(suffix=".h5"):
        if not name.startswith(("unsafe", "hdf5_structures")):
            for entry in mi.plan(FOLDER / name, only=list(arguments)).options:
                subprocess.run(
                    ["h5repack", *arguments[entry.option], FOLDER / name, tmp_path / "made.h5"], check=True
                )
                ratios[entry.option].append((tmp_path / "made.h5").stat().st_size / entry.size - 1)
    assert all(len(found) >= 25 for found in ratios.values())
    told = " ".join((PROJECT / "docs" / "guide" / "plan.md").read_text(encoding="utf-8").split())
    for option, found in ratios.items():
        least, most, middle = min(found), max(found), sorted(found)[len(found) // 2]
        assert f"`{option}` {least:+.0%} to {most:+.0%}, {middle:+.0%} in the middle" in told, (
            option,
            least,
            most,
            middle,
        )


@pytest.mark.parametrize("option", ["hdf5-gzip", "hdf5-repack"])
def test_the_download_of_a_rewritten_file_is_what_gzip_makes_of_it(option: str, tmp_path: Path) -> None:
    path = copied("mlp/stripped.h5", tmp_path)
    (entry,) = mi.plan(path, only=[option]).options
    (tmp_path / "made.py").write_text(entry.command, encoding="utf-8")
    before = set(tmp_path.iterdir())
    shell("python made.py", tmp_path)
    (new,) = set(tmp_path.iterdir()) - before
    assert new.stat().st_size == entry.size
    new.write_bytes(_without_times(new.read_bytes()))  # HDF5 notes the second in which each group was made
    shell(f"python -m gzip --best {new.name}", tmp_path)
    assert Path(f"{new}.gz").stat().st_size == entry.download_size


def test_what_a_rewritten_file_compresses_to_does_not_depend_on_the_time(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "one.h5", "w", libver="latest") as file:
        file.require_group("a/b").attrs["name"] = "x"
    stored = (tmp_path / "one.h5").read_bytes()
    settled = _without_times(stored)
    assert settled != stored
    assert len(settled) == len(stored)
    (tmp_path / "other.h5").write_bytes(settled)
    assert mi.inspect(tmp_path / "other.h5", strict=True).diagnostics == ()
    with h5py.File(tmp_path / "other.h5") as file:
        assert file["a/b"].attrs["name"] == "x"
    assert _without_times(settled) == settled
