"""Sources: the bytes asked for, or a clear error."""

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelinspect.core.limits import Limits
from modelinspect.core.tensors import Stream, WindowStep
from modelinspect.errors import FormatError, LimitError, LocationError, SourceChangedError
from modelinspect.sources.base import MemorySource, Source, WindowSource
from modelinspect.sources.files import MemoryFiles
from modelinspect.sources.local_files import LocalSource
from modelinspect.sources.opening import open_location

DATA = bytes(range(256)) * 3


@pytest.fixture(params=["memory", "local", "window"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    path = tmp_path / "data.bin"
    path.write_bytes(DATA)
    match request.param:
        case "memory":
            return MemorySource(DATA)
        case "local":
            return LocalSource(path)
        case _:
            return WindowSource(MemorySource(b"before" + DATA + b"after"), 6, len(DATA))


def test_a_source_returns_exactly_the_bytes_asked_for(source: Source) -> None:
    assert source.size == len(DATA)
    assert source.read_at(100, 300) == DATA[100:400]
    assert source.read_at(len(DATA), 0) == b""
    buffer = bytearray(17)
    source.read_into(5, memoryview(buffer))
    assert bytes(buffer) == DATA[5:22]


@pytest.mark.parametrize(("offset", "size"), [(-1, 2), (0, len(DATA) + 1), (len(DATA), 1), (10, -1)])
def test_a_read_outside_the_source_says_what_is_left(source: Source, offset: int, size: int) -> None:
    with pytest.raises(FormatError, match=r"needs .* bytes but .* are left"):
        source.read_at(offset, size)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_a_window_of_a_window_is_a_window(first: int, second: int, offset: int, size: int) -> None:
    outer = WindowSource(MemorySource(DATA), first, 200)
    inner = WindowSource(outer, second, 100)
    assert inner.read_at(offset, size) == DATA[first + second + offset : first + second + offset + size]


def test_a_file_that_shrinks_while_it_is_read_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(DATA)
    source = LocalSource(path)
    path.write_bytes(DATA[:100])
    with pytest.raises(SourceChangedError, match="became shorter"):
        source.read_at(50, 200)


def test_a_directory_lists_its_files_and_opens_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "model" / "variables").mkdir(parents=True)
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"pb")
    (tmp_path / "model" / "variables" / "variables.index").write_bytes(b"index")
    (tmp_path / "secret").write_bytes(b"secret")
    with open_location(tmp_path / "model") as files:
        assert files.primary is None
        assert files.names() == ("saved_model.pb", "variables/variables.index")
        assert files.neighbours() == ()
        assert files.open("saved_model.pb").read_at(0, 2) == b"pb"
        with pytest.raises(LocationError, match="holds no file"):
            files.open("../secret")


def test_a_file_has_neighbours_that_can_be_opened_too(tmp_path: Path) -> None:
    for name in ("a.index", "a.data-00000-of-00001", "checkpoint"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder").mkdir()
    for location in (tmp_path / "a.index", tmp_path / "a"):
        with open_location(location) as files:
            assert files.names() == ("a.index",)
            assert files.neighbours() == ("a.data-00000-of-00001", "checkpoint")


def test_links_to_directories_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"x")
    (tmp_path / "model" / "link").symlink_to(tmp_path / "outside", target_is_directory=True)
    with open_location(tmp_path / "model") as files:
        assert files.names() == ()


@pytest.mark.parametrize("location", ["", "no\0path", "/does/not/exist"])
def test_a_location_that_cannot_be_opened_is_one_error(location: str) -> None:
    with pytest.raises(LocationError):
        open_location(location)


def test_a_directory_with_too_many_files_is_refused(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / str(number)).touch()
    with pytest.raises(LimitError, match="the limit is 4"):
        open_location(tmp_path, Limits(members=4)).names()


def test_a_stream_opens_the_bytes_that_its_steps_lead_to() -> None:
    files = MemoryFiles({"outer": b"0123456789"})
    stream = Stream("outer").then(WindowStep(2, 6)).then(WindowStep(1, 3))
    assert files.open_stream(stream).read_at(0, 3) == b"345"


def test_a_folder_may_have_more_files_than_a_process_may_open(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for number in range(300):
        (tmp_path / f"{number:03}").write_bytes(bytes([number % 256]) * 3)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        with open_location(tmp_path) as files:
            sources = [files.open(name) for name in files.names()]
            for number, source in enumerate(sources):
                assert source.read_at(1, 2) == bytes([number % 256]) * 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_file_that_is_gone_when_it_is_read_again_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(DATA)
    source = LocalSource(path)
    source.release()
    assert source.read_at(3, 4) == DATA[3:7]
    path.unlink()
    with pytest.raises(LocationError, match="cannot be opened"):
        source.read_at(3, 4)
