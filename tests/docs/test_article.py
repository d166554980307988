"""The article's numbers, verdicts and pictures come from the data, and from nowhere else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from tests.support.corpus import PROJECT

FOLDER = PROJECT / "docs" / "article"
CLAIMS = 8
_NAMES = re.compile(r"Keras [23]|\{\{.*?\}\}|`[^`]*`|\]\([^)]*\)|^```.*?^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def article(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the script that makes the article, with modules of its own."""
    for name in ("data", "formatting", "claims", "full_size", "make", "run_blocks"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(FOLDER))
    import make  # type: ignore[import-not-found]

    return make


def test_the_article_is_what_the_data_say() -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / "make.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_number_of_the_article_is_typed_by_hand() -> None:
    text = _NAMES.sub("", (FOLDER / "article.md.in").read_text(encoding="utf-8"))
    assert re.findall(r"(?<![\w.])\d[\d,.]*(?![\w])", text) == []


def test_every_claim_has_its_verdict_and_its_facts(article: ModuleType) -> None:
    page = (PROJECT / "docs" / "article" / "article.md").read_text(encoding="utf-8")
    assert len(article.CLAIMS) == CLAIMS
    for claim in article.CLAIMS.values():
        assert claim.verdict in ("confirmed", "refined", "refuted")
        assert len(claim.checks) >= 3
        assert f"\n## {claim.claim}\n" in page
        assert page.count(f"**Verdict: *{claim.verdict}*.** {claim.short}".split()[0]) >= CLAIMS


def test_the_build_fails_where_the_data_no_longer_show_a_fact(
    article: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import data  # type: ignore[import-not-found]

    rows = [dict(row) for row in data.study()]
    for row in rows:
        if (row["architecture"], row["method"], row["target"]) == ("cnn", "h5-no-optimizer", "0.95"):
            row["size"] = "12345"
    monkeypatch.setattr(data, "study", lambda: rows)
    with pytest.raises(SystemExit, match="dense files have one size from no zeros to the most"):
        article.pages()


def test_the_build_fails_for_a_cell_that_the_study_has_not(article: ModuleType) -> None:
    with pytest.raises(LookupError, match="the study has 0 cells"):
        article.cell("cnn", "h5-no-optimizer", 0.123)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.svg")), ids=lambda path: path.stem)
def test_a_picture_says_in_words_what_it_shows_and_loads_nothing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    words = {child.tag.rpartition("}")[2]: child.text for child in root}
    assert words["title"]
    assert "bytes" in (words["desc"] or "")
    assert "href" not in text
    assert "@import" not in text
    assert path.stat().st_size < 40_000


def test_every_picture_is_shown(article: ModuleType) -> None:
    page = (PROJECT / "docs" / "article" / "article.md").read_text(encoding="utf-8")
    assert {path.stem for path in FOLDER.glob("*.svg")} == set(article.FIGURES)
    assert all(f"]({name}.svg)" in page for name in article.FIGURES)
