"""The page of a scan: each model's row leads to its own page where one was written, and nothing else is a
link.
"""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from html import escape, unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from modelinspect.cli.scan_pages import PageSettings, links, page_name, write_pages
from modelinspect.renderers.html.page import page
from modelinspect.reports.scan import ScanReport, ScanRow
from modelinspect.scanning import scan
from tests.renderers.test_many_hostile_names import names
from tests.support.cli import run_cli
from tests.support.fixtures import FOLDER

HOSTILE = "<b>`\"%23?'javascript:&.h5"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scan")
    for name in ("a.h5", HOSTILE):
        (folder / name).write_bytes((FOLDER / "mlp" / "stripped.h5").read_bytes())
    (folder / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(3))
    return folder


def table(text: str) -> dict[str, Any]:
    """Return the table of models as the page's script reads it."""
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    found: dict[str, Any] = next(
        part for part in json.loads(data[1])["parts"] if part.get("title") == "Largest models"
    )
    return found


def test_each_row_leads_to_the_page_of_its_own_model(models: Path, tmp_path: Path) -> None:
    out, pages = tmp_path / "scan.html", tmp_path / "pages #1%"
    done = run_cli("scan", models, "--jobs", "1", "-o", out, "--pages", pages)
    assert done.code == 0
    made = table(out.read_text())
    rows = made["links"]["rows"]
    assert len(rows) == len(made["cells"][0]) == len(list(pages.iterdir())) == 2
    for location, link in zip(made["cells"][made["links"]["column"]], rows, strict=True):
        assert urlsplit(link)._replace(path="").geturl() == ""
        target = tmp_path / unquote(urlsplit(link).path)
        assert target.parent == pages
        assert f"<title>{escape(location)} - modelinspect</title>" in target.read_text()
    assert "broken.h5" in out.read_text()


def test_each_page_leads_back_to_the_table(models: Path, tmp_path: Path) -> None:
    out, pages = tmp_path / "sca&n #1.html", tmp_path / "made" / "pages"
    pages.parent.mkdir()
    assert run_cli("scan", models, "--jobs", "1", "-o", out, "--pages", pages).code == 0
    for path in pages.iterdir():
        (address,) = re.findall(r'<nav><a href="([^"]*)">All models of this scan</a></nav>', path.read_text())
        parts = urlsplit(unescape(address))
        assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
        assert (pages / unquote(parts.path)).resolve() == out


def test_a_page_of_its_own_leads_nowhere(models: Path) -> None:
    assert "<nav>" not in page(scan([str(models)]))


def test_without_pages_nothing_is_a_link(models: Path) -> None:
    assert "links" not in table(page(scan([str(models)])))


def test_a_model_without_a_page_has_no_link() -> None:
    rows = tuple(ScanRow(location=name, format="tflite", size=4) for name in ("a", "b"))
    report = ScanReport(roots=(".",), measured=True, size=8, artifacts=rows, skipped=0)
    assert table(page(report, links={"b": "pages/0002-b.html", "c": "pages/c.html"}))["links"]["rows"] == [
        None,
        "pages/0002-b.html",
    ]


def test_a_title_names_a_few_of_many_paths() -> None:
    report = ScanReport(roots=tuple("abcde"), measured=True, size=0, artifacts=(), skipped=0)
    assert "a, b, c and 2 more" in str(report)
    assert "a, b, c\n" not in str(report)


def test_page_names_are_safe_and_unique_whatever_the_models_are_called() -> None:
    made = [page_name(index, name) for index, name in enumerate([*names(), "..", "/", "", "CON", "-rf", "~"])]
    assert len({name.lower() for name in made}) == len(made)
    assert all(re.fullmatch(r"\d{4,}-[A-Za-z0-9_.-]{1,60}\.html", name) for name in made)


def test_links_cannot_be_another_scheme_or_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("javascript:alert(1)", "a?b#c", "%2e%2e", os.fsdecode(b"\xff")):
        (link,) = links({"m": Path(folder) / "0001-m.html"}, None).values()
        parts = urlsplit(link)
        assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
        assert unquote(parts.path, errors="surrogateescape") == f"{folder}/0001-m.html"


def test_the_folder_is_new_and_the_form_is_html(models: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    for arguments in (
        ["-o", tmp_path / "a.html", "--pages", there],
        ["--pages", tmp_path / "new"],
        ["-o", tmp_path / "b.html", "--pages", tmp_path / "x" / "y"],
    ):
        assert run_cli("scan", models, "--jobs", "1", *arguments).code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


class _Killed(ThreadPoolExecutor):
    """Executors whose process is killed by the task of one location."""

    def submit(self, fn: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        if arguments[0][1].endswith("a.h5"):
            failed: Future[Any] = Future()
            failed.set_exception(BrokenProcessPool("killed"))
            return failed
        return super().submit(fn, *arguments, **named)


def _killed() -> Executor:
    return _Killed(1)


def test_a_killed_process_costs_only_its_own_page(models: Path, tmp_path: Path) -> None:
    report = scan([str(models)])
    written, problems = write_pages(report, tmp_path / "pages", PageSettings(), _killed)
    assert list(problems) == [str(models / "a.h5")]
    assert [path.is_file() for path in written.values()] == [True]
    assert [row.problem is None for row in report.artifacts].count(False) == 1


def test_the_folder_does_not_appear_where_a_page_cannot_be_written(models: Path, tmp_path: Path) -> None:
    class Interrupted(ThreadPoolExecutor):
        def submit(self, fn: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
            if arguments[0][0] == 2:
                raise KeyboardInterrupt
            return super().submit(fn, *arguments, **named)

    with pytest.raises(KeyboardInterrupt):
        write_pages(scan([str(models)]), tmp_path / "pages", PageSettings(), lambda: Interrupted(1))
    assert list(tmp_path.iterdir()) == []
