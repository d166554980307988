"""What a release needs is there, complete, and says the same everywhere."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from modelinspect.version import VERSION
from tests.support.corpus import PROJECT
from tests.support.fixtures import fixture_path

CODE = (".py", ".md", ".pyc")
NOT_DATA = ("py.typed",)
DATA_FOLDERS = ("src/modelinspect", "docs", "tests", "fixtures", "benchmarks")
LINE = re.compile(r"^  (\S+) \| (\S[^|]*) \| (.+)$", re.MULTILINE)
NOTICE = LINE.findall((PROJECT / "NOTICE").read_text(encoding="utf-8"))


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, PROJECT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def data_files() -> list[str]:
    """Return every file of the repository that is neither code nor a document, as paths."""
    found = []
    for folder in DATA_FOLDERS:
        for parent, folders, names in os.walk(PROJECT / folder):
            folders[:] = [one for one in folders if one != "__pycache__" and not one.startswith(".")]
            inside = Path(parent).relative_to(PROJECT).as_posix()
            found += [
                f"{inside}/{name}" for name in names if not name.endswith(CODE) and name not in NOT_DATA
            ]
    return sorted(found)


def test_every_data_file_has_a_licence_and_an_origin_in_the_notice() -> None:
    patterns = [pattern for pattern, _, _ in NOTICE]
    assert [
        name for name in data_files() if not any(fnmatchcase(name, pattern) for pattern in patterns)
    ] == []


def test_every_line_of_the_notice_is_about_files_that_are_there() -> None:
    for pattern, licence, origin in NOTICE:
        assert any(PROJECT.glob(pattern)), pattern
        assert set(re.split(r" AND ", licence)) <= {"Apache-2.0", "BSD-3-Clause", "MIT"}
        assert origin
    derived = {pattern for pattern, _, origin in NOTICE if "scripts/derive_" in origin}
    assert len(derived) == len(list((PROJECT / "scripts").glob("derive_*.py")))


def test_every_schema_and_every_fixture_is_in_the_notice() -> None:
    names = [
        path.relative_to(PROJECT).as_posix()
        for folder in ("docs/schemas", "fixtures")
        for path in (PROJECT / folder).rglob("*")
    ]
    assert all(any(fnmatchcase(name, pattern) for pattern, _, _ in NOTICE) for name in names)


def test_the_citation_names_this_version_and_licence() -> None:
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == VERSION
    assert citation["license"] == project["license"] == "Apache-2.0"
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "repository-code"} <= set(citation)
    assert citation["repository-code"] == project["urls"]["Source"]
    assert [author["name"] for author in citation["authors"]] == [
        author["name"] for author in project["authors"]
    ]


def test_the_metadata_has_addresses_and_classifiers() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"Homepage", "Documentation", "Source", "Issues", "Changelog"} <= set(project["urls"])
    assert {"Typing :: Typed", "Programming Language :: Python :: 3.11"} <= set(project["classifiers"])
    assert not any("License ::" in one for one in project["classifiers"])  # PEP 639: the expression is enough
    for name in project["license-files"]:
        assert (PROJECT / name).is_file()


def test_a_release_of_another_version_or_with_a_placeholder_is_refused(tmp_path: Path) -> None:
    check = script("check_release")
    found = check.problems("v0.0.9", PROJECT)
    assert f"the tag is v0.0.9, and the package is version {VERSION}" in found
    assert any("OWNER" in one for one in found)
    (tmp_path / "src" / "modelinspect").mkdir(parents=True)
    (tmp_path / "src/modelinspect/version.py").write_text('VERSION = "1.2.3"\n')
    (tmp_path / "CITATION.cff").write_text(
        "version: 1.2.3\nrepository-code: https://github.com/somebody/modelinspect\n"
    )
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [1.2.3]\n")
    assert check.problems("v1.2.3", tmp_path) == []
    assert check.problems("v1.2.4", tmp_path) == ["the tag is v1.2.4, and the package is version 1.2.3"]


def test_one_script_names_the_owner_wherever_the_repository_is_named(tmp_path: Path) -> None:
    owner = script("set_owner")
    folders = ("src", "docs", "scripts", ".github", "benchmarks")
    places = [path for name in folders for path in (PROJECT / name).rglob("*")]
    named = {
        path.relative_to(PROJECT).as_posix()
        for path in (*places, *PROJECT.glob("*"))
        if path.suffix in {".md", ".py", ".yml", ".toml", ".cff", ".in"}
        and owner.PLACEHOLDER in path.read_text(encoding="utf-8")
    }
    assert named == {*owner.FILES, "scripts/set_owner.py"}
    for name in owner.FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((PROJECT / name).read_bytes())
    owner.set_owner("some-body", tmp_path)
    assert owner.unnamed(tmp_path) == []
    assert "https://github.com/some-body/modelinspect" in (tmp_path / "pyproject.toml").read_text()
    assert owner.main("../x") == owner.main("") == owner.main("a b") == 2


def test_the_workflow_pins_its_actions_and_gives_each_job_only_what_it_needs() -> None:
    workflow = yaml.safe_load((PROJECT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    uses = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"[\w/.-]+@[0-9a-f]{40}", one) for one in uses)
    assert workflow["permissions"] == {}
    writing = {
        name: sorted(key for key, value in job["permissions"].items() if value == "write")
        for name, job in workflow["jobs"].items()
    }
    assert writing == {
        "build": [],
        "pyz": [],
        "publish": ["id-token"],
        "github": ["attestations", "contents", "id-token"],
    }
    assert workflow["jobs"]["publish"]["environment"]["name"] == "pypi"
    run = "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])
    assert "${{" not in run  # what a tag is called never becomes code
    for name in re.findall(r"scripts/\w+\.py", run):
        assert (PROJECT / name).is_file()


@pytest.mark.parametrize("name", ["bug", "wrong-number", "new-format"])
def test_a_form_for_issues_is_complete(name: str) -> None:
    form = yaml.safe_load((PROJECT / f".github/ISSUE_TEMPLATE/{name}.yml").read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form)
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert any(field.get("validations", {}).get("required") for field in fields)
    text = json.dumps(form)
    for command in re.findall(r"`modelinspect (\w+) MODEL", text):
        assert command in ("map", "explain", "inspect")
    assert "modelinspect map MODEL" in text


def test_the_security_policy_says_where_and_what() -> None:
    text = (PROJECT / "SECURITY.md").read_text(encoding="utf-8")
    assert "security/advisories/new" in text
    assert "@" not in text.replace("modelinspect@", "")  # no person's address


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file made of the package alone: what it needs comes from the environment of the tests, so no
    network is needed.
    """
    folder = tmp_path_factory.mktemp("pyz")
    site = folder / "site"
    site.mkdir()
    (site / "modelinspect").symlink_to(PROJECT / "src" / "modelinspect")
    script("build_pyz").assemble(site, folder / "modelinspect.pyz")
    return folder / "modelinspect.pyz"


def run(pyz: Path, cache: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "MODELINSPECT_CACHE": str(cache)
    }
    return subprocess.run(
        [sys.executable, pyz, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def test_the_file_has_what_was_installed_and_no_leftovers(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        build = json.loads(archive.read("build.json"))
        names = set(archive.namelist())
    assert {f"site/{name}" for name in build["files"]} | {"__main__.py", "build.json"} <= names
    assert "modelinspect/cli/main.py" in build["files"]
    assert not [name for name in build["files"] if "__pycache__" in name]
    assert build["python"] == list(sys.version_info[:2])


def test_the_file_inspects_a_model_from_its_cache_and_mends_it(pyz: Path, tmp_path: Path) -> None:
    first = run(pyz, tmp_path / "cache", fixture_path("mlp/stripped.h5"), "--no-measure")
    assert (first.returncode, "25,656 bytes" in first.stdout) == (0, True), first.stderr
    (folder,) = (tmp_path / "cache").iterdir()
    (folder / "modelinspect/cli/main.py").unlink()
    again = run(pyz, tmp_path / "cache", "--version")
    assert (again.returncode, again.stdout) == (0, f"modelinspect {VERSION}\n"), again.stderr
    assert [one.name for one in (tmp_path / "cache").iterdir()] == [folder.name]


def test_the_file_refuses_another_python_and_a_cache_that_cannot_be_written(
    pyz: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.pyz"
    with zipfile.ZipFile(pyz) as archive, zipfile.ZipFile(other, "w") as copy:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "build.json":
                data = json.dumps({**json.loads(data), "python": [3, 9]}).encode()
            copy.writestr(name, data)
    refused = run(other, tmp_path / "cache", "--version")
    assert (refused.returncode, "this file is for Python 3.9" in refused.stderr) == (3, True)
    (tmp_path / "file").write_text("")
    unwritable = run(pyz, tmp_path / "file", "--version")
    assert (unwritable.returncode, "MODELINSPECT_CACHE names another folder" in unwritable.stderr) == (
        3,
        True,
    )
