"""The links of the documents are written as addresses that work; no test opens one."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from tests.support.corpus import PROJECT

SCRIPT = "check_links"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.delitem(sys.modules, SCRIPT, raising=False)
    monkeypatch.syspath_prepend(str(PROJECT / "docs"))
    import check_links  # type: ignore[import-not-found]

    return check_links


def test_no_link_of_the_documents_is_wrong(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [SCRIPT, "--check"])
    status = script.main()
    assert status == 0, capsys.readouterr().out


def test_every_address_is_listed_with_its_places(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [SCRIPT])
    assert script.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("https://netron.app  docs/guide/compared.md:")]


def test_the_addresses_of_a_text_are_found(script: ModuleType) -> None:
    text = (
        "See [a](https://a.org/x_(y)), <https://b.org/>, `https://c.org/z`.\n\n"
        "| https://d.org. |\nhttps://e.org/p), [f](http://f.org/. 'title')\n[inside](page.md)\n"
    )
    found = [(link.address, link.line) for link in script.external_links(text)]
    assert found == [
        ("https://a.org/x_(y)", 1),
        ("https://b.org/", 1),
        ("https://c.org/z", 1),
        ("https://d.org", 3),
        ("http://f.org/.", 4),
        ("https://e.org/p", 4),
    ]


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/tensorflow/tensorflow/issues/47838",
        "https://github.com/google/leveldb/blob/main/doc/table_format.md",
        "https://github.com/a/b/blob/v1.2/c.py#L10",
        "https://arxiv.org/abs/1710.01878",
        "https://stackoverflow.com/questions/78567321",
        "https://www.tensorflow.org/guide?hl=en",
    ],
)
def test_a_plain_address_is_right(script: ModuleType, address: str) -> None:
    assert script.problems(address) == []


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://keras.io/guides", "does not begin with https://"),
        ("//keras.io/guides", "does not begin with https://"),
        ("https://localhost/x", "names no site"),
        ("https://127.0.0.1/x", "names no site"),
        ("https://[::1/x", "not an address: Invalid IPv6 URL"),
        ("https://Keras.io/x", "the host has capital letters"),
        ("https://me@keras.io/x", "has the name of a user"),
        ("https://keras.io:8080/x", "has the number of a port"),
        ("https://keras.io//x", "has two slashes in its path"),
        ("https://keras.io/100%", "has a % that is not an escape"),
        ("https://keras.io/{page}", "has a character that addresses do not have"),
        ("https://keras.io/x.", "ends with a mark of punctuation"),
        ("https://keras.io/x#", "ends with an empty anchor or query"),
        ("https://bit.ly/x", "is a shortened address"),
        ("https://keras.io/x?utm_source=a&b=1", "tracks readers by its parameter utm_source"),
        ("https://keras.io/x?fbclid", "tracks readers by its parameter fbclid"),
        ("https://github.com/a/b/issue/1", "is not written as pages of github.com are"),
        ("https://arxiv.org/abs/1713.01878", "is not written as pages of arxiv.org are"),
        (
            "https://github.com/a/b/blob/master/c.py#L10",
            "names a line of the branch master, which moves: name a commit or a tag",
        ),
    ],
)
def test_what_is_wrong_with_an_address_is_named(script: ModuleType, address: str, told: str) -> None:
    assert script.problems(address) == [told]


def test_two_spellings_of_one_page_and_a_mistyped_host_are_found(script: ModuleType) -> None:
    addresses = ["https://github.com/a/b", "https://github.com/c", "https://www.github.com/a/b/"]
    assert script.problems_together(addresses) == {
        "https://www.github.com/a/b/": "is also written as https://github.com/a/b"
    }
    assert script.problems_together([*addresses[:2], "https://githib.com/d"]) == {
        "https://githib.com/d": "its host is nearly github.com"
    }
    assert script.problems_together([*addresses[:2], "https://git-lfs.github.com/spec/"]) == {}


def test_anchors_are_the_headings_of_a_page(script: ModuleType) -> None:
    text = "# A `b` c\n## It's [x](y.md), too\n## Again\n## Again\n```\n# no heading\n```\n"
    assert script.anchors(text) == {"a-b-c", "its-x-too", "again", "again-1"}
