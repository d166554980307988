"""Check that a tag, the package, CITATION.cff and the changelog name one version, and that no address is a
placeholder.

usage: python scripts/check_release.py TAG

Needs only the standard library.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from set_owner import unnamed  # noqa: E402


def main(tag: str) -> int:
    """Print what is wrong and return 1 where anything is."""
    wrong = problems(tag, ROOT)
    print("\n".join(wrong))
    return 1 if wrong else 0


def problems(tag: str, root: Path) -> list[str]:
    """Return what keeps a tag from being released, a sentence each."""
    package = _found(root / "src" / "modelinspect" / "version.py", r'^VERSION = "(.+)"$')
    citation = _found(root / "CITATION.cff", r"^version: (.+)$")
    found = []
    if tag != f"v{package}":
        found.append(f"the tag is {tag}, and the package is version {package}")
    if citation != package:
        found.append(f"CITATION.cff has version {citation}, and the package is version {package}")
    if f"\n## [{package}]" not in (root / "CHANGELOG.md").read_text(encoding="utf-8"):
        found.append(f"CHANGELOG.md has no section [{package}]")
    found += [f"{name} has an address with OWNER in it: run scripts/set_owner.py" for name in unnamed(root)]
    return found


def _found(path: Path, pattern: str) -> str:
    match = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else ""


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/check_release.py TAG")
    sys.exit(main(sys.argv[1]))
