"""Every error can be caught by its name from the package, and by the built-in error that people expect."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import modelinspect
from modelinspect import errors
from tests.support.fixtures import fixture_path

ALL = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, errors.ModelInspectError)
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_an_error_is_exported_and_pickles(error: type[errors.ModelInspectError]) -> None:
    assert getattr(modelinspect, error.__name__) is error
    assert error.__name__ in modelinspect.__all__
    again = pickle.loads(pickle.dumps(error("what is wrong")))
    assert (type(again), str(again)) == (error, "what is wrong")


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be opened"):
        modelinspect.open(tmp_path / "missing.h5")


def test_a_file_of_another_kind_is_a_value_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a model")
    with pytest.raises(ValueError, match=r"notes\.txt"):
        modelinspect.open(tmp_path / "notes.txt")


def test_a_wrong_argument_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="size"):
        modelinspect.check(fixture_path("mlp/stripped.h5"), {"size": "-1"})


def test_an_unknown_key_is_a_lookup_error() -> None:
    with pytest.raises(LookupError, match="no key"):
        modelinspect.inspect(fixture_path("mlp/stripped.h5"), by=["shape"])


def test_no_submodule_hides_a_public_name() -> None:
    """Importing a submodule sets its name on the package, so a function and a submodule of one name would
    fight for it.
    """
    folder = Path(modelinspect.__file__).parent
    modules = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert modules.isdisjoint(modelinspect.__all__)
