"""Name the owner of the repository where the files have the placeholder OWNER.

usage: python scripts/set_owner.py OWNER

Files in git keep the placeholder, and a fork needs no change: the release workflow runs this with the
owner of the repository that it runs in, and scripts/check_release.py refuses to release without it.
Needs only the standard library.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACEHOLDER = "OWNER/modelinspect"
FILES = (
    "pyproject.toml",
    "CITATION.cff",
    "SECURITY.md",
    ".github/ISSUE_TEMPLATE/config.yml",
    "docs/guide/check.md",
    "docs/guide/embed.md",
)
"""Every file that names the repository; tests/test_release.py checks that no other does."""


def main(owner: str) -> int:
    """Write the owner into every file; return 2 for what cannot be an owner on GitHub."""
    if not re.fullmatch(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}", owner):
        print(f"{owner!r} is not the name of a user or organization on GitHub", file=sys.stderr)
        return 2
    set_owner(owner, ROOT)
    return 0


def set_owner(owner: str, root: Path) -> None:
    """Replace the placeholder in every file below ``root``."""
    for name in FILES:
        path = root / name
        text = path.read_bytes().decode("utf-8")
        path.write_bytes(text.replace(PLACEHOLDER, f"{owner}/modelinspect").encode())


def unnamed(root: Path) -> list[str]:
    """Return the files that still have the placeholder."""
    return [
        name
        for name in FILES
        if (root / name).is_file() and PLACEHOLDER in (root / name).read_text(encoding="utf-8")
    ]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/set_owner.py OWNER")
    sys.exit(main(sys.argv[1]))
