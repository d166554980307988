"""The page about extending lists every file to touch: a dummy of each kind is added to a copy of the package,
with exactly those files.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.test_extending import PAGE
from tests.support.corpus import PROJECT
from tests.support.fixtures import fixture_path

_PACKAGE = PROJECT / "src" / "modelinspect"
_ROW = re.compile(r"^\| (an? [^|]*) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)
_NAMES = re.compile(r"`([^`]+)`")

Edit = Callable[[str], str]


@dataclass(frozen=True)
class Addition:
    """A dummy: its name, what changes in which file of the package, and a script that fails without it.

    The script gets the path of a file to work on; it is run with the changed package.
    """

    name: str
    edits: Mapping[str, Edit]
    script: str
    sample: Callable[[Path], Path] = lambda folder: folder


def _block(begins: str) -> str:
    """Return the page's block of Python whose docstring begins so."""
    (code,) = (
        block
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        if block.startswith(f'"""{begins}')
    )
    return str(code)


def _new(text: str) -> Edit:
    return lambda _: text


def _after(mark: str, text: str) -> Edit:
    """Return an edit that adds text after the first place of a mark."""

    def edit(old: str) -> str:
        assert mark in old, mark
        return old.replace(mark, mark + text, 1)

    return edit


def _end(text: str) -> Edit:
    return lambda old: old + text


def _wght(folder: Path) -> Path:
    path = folder / "model.wght"
    path.write_bytes(b"WGHT" + b"\3\0\0\0" + bytes(12) + b"\xef\xbe\xad\xde")
    return path


def _doubled(folder: Path) -> Path:
    """Return a Keras file with a layer of a class that no converter rule knows."""
    import json
    import shutil

    import h5py

    path = folder / "model.h5"
    shutil.copy(fixture_path("mlp/stripped.h5"), path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        settings = {"name": "doubled", "trainable": True, "dtype": "float32"}
        config["config"]["layers"].append({"class_name": "Doubled", "config": settings})
        file.attrs["model_config"] = json.dumps(config)
    return path


_UNSAFE = """

def _find_long_name(subject: Subject) -> Iterator[Finding]:
    for member in subject.artifact.members:
        if len(member.name) > 10:
            place = Place(member.name, 0, 1)
            yield Finding(f"{member.name} has a long name", member.size, "rename it", place)


LONG_NAME = Rule(
    "long-name",
    Severity.WARNING,
    "Long names are odd.",
    _find_long_name,
    advice="rename it",
    group=Group.UNSAFE,
)
RULES = (*RULES, LONG_NAME)
"""

ADDITIONS = {
    "a format": Addition(
        "wght",
        {
            "formats/wght.py": _new(_block("Reads .wght")),
            "formats/registry.py": _after(
                "FORMATS: tuple[str, ...] = (\n", '    "modelinspect.formats.wght",\n'
            ),
            "core/artifact.py": _after('    ORBAX = "orbax"\n', '    WGHT = "wght"\n'),
            "core/facts.py": _after("class Facts(TypedDict, total=False):\n", "    wght_elements: int\n"),
            "remedies/choose.py": _after("            FormatName.MLIR\n", "            | FormatName.WGHT\n"),
        },
        """
from modelinspect.core.facts import Facts
from modelinspect.remedies.choose import saved_without_optimizer
artifact = modelinspect.open(path)
assert artifact.format == "wght" and artifact.tensors[0].shape == (3,)
assert artifact.facts.keys() <= Facts.__annotations__.keys()
assert saved_without_optimizer(artifact) is None
assert modelinspect.inspect(path).categories.zero_weights == 12
""",
        _wght,
    ),
    "a wasteful rule": Addition(
        "one_large_tensor",
        {
            "rules/wasteful/one_large_tensor.py": _new(_block("Finds models")),
            "rules/registry.py": lambda text: text.replace(
                "        zip_stored,\n", "        one_large_tensor,\n        zip_stored,\n"
            ).replace(
                "        zip_stored.RULE,\n", "        one_large_tensor.RULE,\n        zip_stored.RULE,\n"
            ),
        },
        'assert [one.rule for one in modelinspect.lint(path, select=["one-large-tensor"]).findings]',
        lambda _: fixture_path("pruned_blocks/block-16x1/stripped/dynamic-int8.tflite"),
    ),
    "an unsafe rule": Addition(
        "long-name",
        {"rules/unsafe/odd_bytes.py": _end(_UNSAFE)},
        'assert [one.rule for one in modelinspect.lint(path, select=["unsafe"]).findings] == ["long-name"]',
        lambda _: fixture_path("mlp/original_no_optimizer.h5"),
    ),
    "a remedy": Addition(
        "printing",
        {
            "remedies/table.py": _end('\n    PRINT_NAME = _shell("print its name", "echo {file_word}")\n'),
            "remedies/choose.py": _end(
                "\n\ndef printed(artifact: Artifact) -> Advice:\n"
                "    return advise(Remedy.PRINT_NAME, artifact)\n"
            ),
        },
        """
from modelinspect.remedies.choose import printed
advice = printed(modelinspect.open(path))
assert (advice.words, advice.code) == ("print its name", f"echo {path}")
""",
        lambda _: fixture_path("mlp/original.h5"),
    ),
    "a converter rule for a Keras layer": Addition(
        "Doubled",
        {
            "conversion/keras/layers.py": _end(
                '\n\nLAYERS["Doubled"] = traced(\n'
                '    lambda t: t.node("Mul", [t.given, t.constant([2.0], "mul/y", 0)], "mul")\n)\n'
            ),
        },
        """
report = modelinspect.plan(path, only=["tflite-float32"])
(option,) = report.options
assert option.basis == "exact", option
""",
        _doubled,
    ),
    "a converter rule for an operation of a graph": Addition(
        "Doubled",
        {"conversion/graph/rules.py": _end('\n\nRULES["Doubled"] = RULES["Relu"]\n')},
        """
from modelinspect.conversion.graph import lowering
assert "Doubled" in lowering.RULES
""",
    ),
    "a renderer": Addition(
        "tsv",
        {
            "renderers/tsv.py": _new(_block("Writes a report as tab")),
            "renderers/registry.py": lambda text: text.replace(
                '    JUNIT = "junit"\n', '    JUNIT = "junit"\n    TSV = "tsv"\n'
            ).replace(
                '    OutputFormat.JUNIT: "modelinspect.renderers.junit",\n',
                '    OutputFormat.JUNIT: "modelinspect.renderers.junit",\n'
                '    OutputFormat.TSV: "modelinspect.renderers.tsv",\n',
            ),
            "cli/options.py": lambda text: text.replace(
                "    OutputFormat.HTML,\n)", "    OutputFormat.HTML,\n    OutputFormat.TSV,\n)"
            ).replace("_SUFFIXES = {\n", '_SUFFIXES = {\n    ".tsv": OutputFormat.TSV,\n'),
        },
        """
from pathlib import Path
from modelinspect.cli.main import entry
sys.argv = ["modelinspect", "inspect", path, "-o", str(folder / "out.tsv")]
try:
    entry()
except SystemExit as done:
    assert not done.code
assert (folder / "out.tsv").read_text().startswith("category\\tsize\\tshare\\n")
""",
        lambda _: fixture_path("mlp/original.h5"),
    ),
    "a command": Addition(
        "hello",
        {
            "cli/hello.py": _new(
                '"""The command ``hello``."""\n\nNEEDS_ARGUMENTS = False\n'
                'EXAMPLES = "modelinspect hello"\n\n\n'
                'def command() -> None:\n    """Say hello."""\n    print("hello from a dummy")\n'
            ),
            "cli/commands.py": _after("COMMANDS: dict[str, str] = {\n", '    "hello": "Say hello.",\n'),
        },
        """
import contextlib, io
from modelinspect.cli.main import entry
sys.argv = ["modelinspect", "hello"]
out = io.StringIO()
with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
    entry()
assert out.getvalue() == "hello from a dummy\\n", out.getvalue()
""",
    ),
}
"""A dummy of each kind that the page lists."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the package, whose files are links to those of the project, for all tests here:
    what Python compiles of it is there for the next.
    """
    copy = tmp_path_factory.mktemp("copy") / "modelinspect"
    for path in _PACKAGE.rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            place = copy / path.relative_to(_PACKAGE)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path)
    return copy


@contextmanager
def _changed(package: Path, edits: Mapping[str, Edit]) -> Iterator[set[str]]:
    """Change files of the copy for a while; yield those that are not the project's then."""
    for name, edit in edits.items():
        path = package / name
        text = edit(path.read_text(encoding="utf-8") if path.exists() else "")
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")
    try:
        yield {
            path.relative_to(package).as_posix() for path in package.rglob("*.py") if not path.is_symlink()
        }
    finally:
        for name in edits:
            (package / name).unlink()
            if (_PACKAGE / name).exists():
                (package / name).symlink_to(_PACKAGE / name)


def _works(addition: Addition, package: Path, folder: Path) -> tuple[bool, str]:
    script = (
        "import sys, modelinspect\nfrom pathlib import Path\n"
        f"path, folder = {str(addition.sample(folder))!r}, Path({str(folder)!r})\n" + addition.script
    )
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode == 0, done.stderr


def _rows() -> dict[str, tuple[list[str], list[str]]]:
    return {
        what: (_NAMES.findall(first), _NAMES.findall(beside)) for what, first, beside in _ROW.findall(PAGE)
    }


def test_there_is_a_dummy_of_every_kind() -> None:
    assert _rows().keys() == ADDITIONS.keys()


@pytest.mark.parametrize("kind", ADDITIONS)
def test_an_addition_touches_exactly_the_files_that_the_page_lists(
    kind: str, package: Path, tmp_path: Path
) -> None:
    addition = ADDITIONS[kind]
    listed = {name.replace("NAME", addition.name) for name in _rows()[kind][0]}
    with _changed(package, addition.edits) as touched:
        works, trouble = _works(addition, package, tmp_path)
    assert touched == listed
    assert works, trouble


@pytest.mark.parametrize(
    ("kind", "left_out"), [(kind, name) for kind, one in ADDITIONS.items() for name in one.edits]
)
def test_an_addition_does_not_work_without_one_of_the_files(
    kind: str, left_out: str, package: Path, tmp_path: Path
) -> None:
    addition = ADDITIONS[kind]
    with _changed(package, {name: edit for name, edit in addition.edits.items() if name != left_out}):
        works, _ = _works(addition, package, tmp_path)
    assert not works


def test_what_the_page_lists_beside_the_package_is_there_for_what_is_there() -> None:
    for what, (_, beside) in _rows().items():
        for name in beside:
            place = PROJECT / name
            assert place.exists() or ("NAME" in name and place.parent.is_dir()), (what, name)
