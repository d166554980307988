"""Lists the links of the documents to other sites, and checks what needs no network.

It reads the README, the other documents at the root, the package's metadata, the templates of issues, and
everything in `docs`. An address must be written as one that works: https, a full host name, no name of a
user, no tracking, no mark of punctuation at its end, one spelling for one page. An anchor must be a heading
of its page. Whether the page at an address still exists needs a network:
`python -m sphinx -b linkcheck docs site/links`.

    python docs/check_links.py           list every address, and where it is
    python docs/check_links.py --check   list only what is wrong; exit with 1 where anything is
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (
    "*.md",
    "CITATION.cff",
    "NOTICE",
    "pyproject.toml",
    ".github/**/*.md",
    ".github/**/*.yml",
    "docs/**/*.md",
    "docs/**/*.in",
    "docs/**/*.toml",
)
"""The files that are read, as patterns from the root."""

TRACKING = re.compile(
    r"utm_\w+|fbclid|gclid|dclid|msclkid|igshid|mc_[ce]id|_hs\w+|ref|ref_src|ref_url|referrer|source|si|spm"
)
"""The parameters that say where a reader came from."""

SHORTENERS = frozenset({"bit.ly", "goo.gl", "t.co", "tinyurl.com", "ow.ly", "is.gd", "buff.ly", "lnkd.in"})
SHAPES = {
    "github.com": re.compile(
        r"/[\w.-]+(/[\w.-]+(/(issues|pull|discussions)(/\d+)?|/issues/new/choose|/(blob|tree|raw)/[^/]+(/.+)?"
        r"|/security/(policy|advisories/new)|/releases(/.+)?|/wiki(/.+)?|/commit/[0-9a-f]{7,40})?)?"
    ),
    "stackoverflow.com": re.compile(r"/(questions|a|q)/\d+(/[\w-]+)?"),
    "arxiv.org": re.compile(r"/abs/\d{2}(0[1-9]|1[0-2])\.\d{4,5}(v\d+)?"),
    "discuss.tensorflow.org": re.compile(r"/t/([\w-]+/)?\d+"),
}
"""What a path looks like on the sites that most links lead to."""

ALIKE = 0.85
"""From which likeness, 0 to 1, two host names are taken for one with an error in typing."""

_TARGET = re.compile(r"\]\(\s*<?((?:https?:)?//[^\s()>]*(?:\([^\s()>]*\)[^\s()>]*)*)|<(https?://[^\s>]+)>")
_BARE = re.compile(r"https?://[^\s<>\"'`|\]]+")
_INTERNAL = re.compile(r"\]\((?!\w+:|//)([^)#\s]*)#([^)\s]+)\)")
_FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_ANCHOR = re.compile(r"<a (?:id|name)=\"([^\"]+)\"|^\(([\w-]+)\)=$", re.MULTILINE)
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.[a-z]{2,}")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, order=True)
class Link:
    """An address, with the file that has it and the line, counted from 1."""

    address: str
    path: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"


def sources() -> list[Path]:
    """Return the files that are read, each once."""
    return sorted({path for pattern in SOURCES for path in ROOT.glob(pattern) if path.is_file()})


def external_links(text: str, path: str = "") -> Iterator[Link]:
    """Yield the addresses in a text: the targets of links as they are written, others without the
    punctuation of their sentence.
    """
    for number, line in enumerate(text.splitlines(), 1):
        targets = [match[1] or match[2] for match in _TARGET.finditer(line)]
        for target in targets:
            yield Link(target, path, number)
        for bare in _BARE.findall(_TARGET.sub(" ", line)):
            yield Link(_without_sentence(bare), path, number)


def _without_sentence(address: str) -> str:
    """Cut the marks of a sentence, and brackets that the address does not open."""
    while address and (
        address[-1] in ".,;:!?*_" or (address[-1] == ")" and address.count(")") > address.count("("))
    ):
        address = address[:-1]
    return address


def problems(address: str) -> list[str]:
    """Return what is wrong with an address as it is written."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as problem:
        return [f"not an address: {problem}"]
    host = parts.hostname or ""
    wrong = {
        "does not begin with https://": parts.scheme != "https",
        "names no site": not _HOST.fullmatch(host),
        "the host has capital letters": parts.netloc != parts.netloc.lower(),
        "has the name of a user": "@" in parts.netloc,
        "has the number of a port": port is not None,
        "is a shortened address": host in SHORTENERS,
        "has two slashes in its path": "//" in parts.path,
        "has a % that is not an escape": bool(_ESCAPE.search(address)),
        "has a character that addresses do not have": bool(re.search(r"[\s\\{}^<>\"`|]", address)),
        "ends with a mark of punctuation": address[-1:] in ".,;:!?'",
        "ends with an empty anchor or query": address[-1:] in "#?",
    }
    found = [told for told, holds in wrong.items() if holds]
    tracking = [name for name, _ in parse_qsl(parts.query, True) if TRACKING.fullmatch(name.lower())]
    found += [f"tracks readers by its parameter {name}" for name in tracking]
    return found + _problems_of_site(host.removeprefix("www."), parts)


def _problems_of_site(site: str, parts: SplitResult) -> list[str]:
    path = parts.path.rstrip("/")
    if site not in SHAPES or not path:
        return []
    if not SHAPES[site].fullmatch(path):
        return [f"is not written as pages of {site} are"]
    moving = re.search(r"/blob/(main|master|develop)/", path)
    if site == "github.com" and moving and re.match(r"L\d", parts.fragment):
        return [f"names a line of the branch {moving[1]}, which moves: name a commit or a tag"]
    return []


def problems_together(addresses: Iterable[str]) -> dict[str, str]:
    """Return, by address, what is wrong beside the others: another spelling of the same page, or a host that
    is nearly another.
    """
    counts = Counter(addresses)
    pages: defaultdict[str, list[str]] = defaultdict(list)
    for address in counts:
        parts = urlsplit(address)
        page = parts.netloc.removeprefix("www.") + unquote(parts.path).rstrip("/")
        pages[f"{page}?{parts.query}#{parts.fragment}"].append(address)
    found: dict[str, str] = {}
    for same in pages.values():
        first, *others = sorted(same, key=lambda one: (-counts[one], len(one)))
        found |= dict.fromkeys(others, f"is also written as {first}")
    return _mistyped(counts) | found


def _mistyped(counts: Counter[str]) -> dict[str, str]:
    """Return the addresses whose host is nearly one that more addresses have."""
    hosts: Counter[str] = Counter()
    for address, count in counts.items():
        hosts[urlsplit(address).netloc] += count
    near = {
        rare: known
        for rare, seldom in hosts.items()
        for known, often in hosts.items()
        if seldom < often and _is_mistyped(rare.removeprefix("www."), known.removeprefix("www."))
    }
    return {
        address: f"its host is nearly {near[host]}"
        for address in counts
        if (host := urlsplit(address).netloc) in near
    }


def _is_mistyped(one: str, other: str) -> bool:
    """Return whether two host names differ by a few letters; one beneath the other is another site."""
    beneath = one.endswith(f".{other}") or other.endswith(f".{one}")
    return one != other and not beneath and SequenceMatcher(None, one, other).ratio() >= ALIKE


def anchors(text: str) -> set[str]:
    """Return the anchors of a page in Markdown, as GitHub names them."""
    seen: Counter[str] = Counter()
    found = {one or other for one, other in _ANCHOR.findall(text)}
    for heading in _HEADING.findall(_FENCED.sub("", text)):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def missing_anchors(paths: Iterable[Path]) -> list[str]:
    """Return the links inside the project whose anchor is not on their page."""
    known: dict[Path, set[str]] = {}
    found = []
    for path in paths:
        if path.suffix != ".md":
            continue
        text = path.read_text(encoding="utf-8")
        for target, anchor in _INTERNAL.findall(_FENCED.sub("", text)):
            page = (path.parent / target).resolve() if target else path
            if page.suffix != ".md" or not page.is_file():
                continue
            if page not in known:
                known[page] = anchors(page.read_text(encoding="utf-8"))
            if anchor not in known[page]:
                found.append(f"{path.relative_to(ROOT)}: {target}#{anchor} is not a heading of its page")
    return found


def main() -> int:
    """List or check."""
    paths = sources()
    links = [
        link
        for path in paths
        for link in external_links(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
    ]
    together = problems_together(link.address for link in links)
    wrong = [
        f"{link.place}: {link.address} {told}"
        for link in sorted(set(links))
        for told in [*problems(link.address), *filter(None, [together.get(link.address)])]
    ]
    wrong += missing_anchors(paths)
    if "--check" in sys.argv[1:]:
        print("\n".join(wrong) if wrong else f"{len({link.address for link in links})} addresses, none wrong")
        return 1 if wrong else 0
    places: defaultdict[str, list[str]] = defaultdict(list)
    for link in sorted(set(links)):
        places[link.address].append(link.place)
    for address, found in places.items():
        print(f"{address}  {', '.join(found)}")
    print("\n".join(wrong), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
