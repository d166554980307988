"""Nothing is lost where a run ends, or the disk is full, at any change that it makes to the file system."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

import modelinspect as mi
from modelinspect.errors import OutputError
from tests.support.fixtures import fixture_path

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]

_ADDING = frozenset({"os.rename", "os.link", "os.mkdir", "os.truncate", "open"})
"""Changes that may need room; the others a full disk still allows."""
_CHANGES = _ADDING | {"os.remove", "os.rmdir", "os.chmod"}
_KILLED, _DONE, _REPORTED, _BROKEN = 9, 0, 3, 70
_MOST = 200


def changes(folder: Path, number: int, act: Callable[[], None], events: frozenset[str]) -> None:
    """Act just before the change of this number that the process makes below a folder."""
    count = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event not in events or not any(
            isinstance(each, str | Path) and str(each).startswith(str(folder)) for each in arguments
        ):
            return
        if event == "open" and not (
            isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        ):
            return
        count += 1
        if count == number:
            act()

    sys.addaudithook(hook)


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_only() -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def run(path: Path, folder: Path, number: int, act: Callable[[], None], output: Path | None) -> int:
    """Shrink in a separate process that is disturbed once, and return how it ended."""
    child = os.fork()
    if not child:
        try:
            changes(folder, number, act, _CHANGES if act not in (full, read_only) else _ADDING)
            mi.shrink(path, output, in_place=output is None)
            os._exit(_DONE)
        except OutputError:
            os._exit(_REPORTED)
        except BaseException:
            traceback.print_exc()
            os._exit(_BROKEN)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def put(name: str, folder: Path) -> Path:
    path = folder / Path(name).name
    if fixture_path(name).is_dir():
        shutil.copytree(fixture_path(name), path)
    else:
        shutil.copy(fixture_path(name), path)
    return path


FIXTURES = ["mlp/original.h5", "saved_model/affine", "archives/model.zip"]


ACTS = {"killed": lambda: os._exit(_KILLED), "full": full, "read-only": read_only}


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize(
    ("name", "how"),
    [*((name, how) for name in FIXTURES for how in ("killed", "full")), (FIXTURES[0], "read-only")],
)
def test_the_model_is_there_whole_whatever_change_the_run_ends_at(
    name: str, how: str, in_place: bool, tmp_path: Path
) -> None:
    ends = []
    for number in range(1, _MOST):
        folder = tmp_path / str(number)
        folder.mkdir()
        path, output = put(name, folder), None if in_place else folder / f"small-{Path(name).name}"
        ends.append(run(path, folder, number, ACTS[how], output))
        kept = path.with_name(f"{path.name}.orig")
        whole = path if path.exists() else kept
        assert mi.compare_content(fixture_path(name), whole).same, number
        if output is not None and output.exists():
            assert mi.compare_content(fixture_path(name), output).same, number
        if how != "killed" and not in_place:
            assert {each.name for each in folder.iterdir()} <= {
                path.name,
                output.name if output else "",
            }, number
        if ends[-1] == _DONE and len(ends) > 1 and ends[-2] == _DONE:
            break
        shutil.rmtree(folder)
    assert _BROKEN not in ends
    assert (_KILLED if how == "killed" else _REPORTED) in ends
    assert ends[-1] == _DONE
    assert len(ends) > 4
