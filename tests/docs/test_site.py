"""The documents build into a site, strictly and offline."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.corpus import PROJECT

pytest.importorskip("sphinx")
DOCS = PROJECT / "docs"
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["'](?:https?:)?//|<link\b[^>]*\bhref=["'](?:https?:)?//""",
    re.IGNORECASE,
)
_STYLED = re.compile(r"@import|url\(\s*[\"']?(?:https?:)?//", re.IGNORECASE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-n",
        "-q",
        "-E",
        "-b",
        "html",
        "-d",
        folder / "trees",
    ]
    done = subprocess.run([*command, DOCS, folder / "html"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


def test_every_document_is_a_page_that_the_navigation_reaches(site: Path) -> None:
    start = (site / "index.html").read_text(encoding="utf-8")
    for path in DOCS.rglob("*.md"):
        page = path.relative_to(DOCS).with_suffix(".html").as_posix()
        assert (site / page).is_file()
        assert page == "index.html" or f'href="{page}"' in start


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        assert _LOADED.findall(path.read_text(encoding="utf-8")) == [], path.name
    for path in site.rglob("*.css"):
        assert _STYLED.findall(path.read_text(encoding="utf-8")) == [], path.name


def test_the_articles_pictures_are_in_the_site(site: Path) -> None:
    page = (site / "article" / "article.html").read_text(encoding="utf-8")
    shown = re.findall(r'<img[^>]*src="([^"]+\.svg)"', page)
    assert len(shown) == len(list((DOCS / "article").glob("*.svg")))
    assert all((site / "article" / one).is_file() for one in shown)


def test_numbers_keep_their_units_except_in_code(site: Path) -> None:
    whole = (site / "article" / "article.html").read_text(encoding="utf-8")
    page = whole.partition("<article")[2].partition("</article>")[0]
    assert re.search(r"\d\N{NO-BREAK SPACE}bytes", page)
    assert re.search(r"\d %", re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)) is None
    assert "\N{NO-BREAK SPACE}" not in "".join(re.findall(r"<pre>.*?</pre>", page, re.DOTALL))
