"""Takes the pictures of pages that the documents show, with a real browser: `python
docs/generate_images.py`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.browser import browser  # noqa: E402

PICTURES = {
    "page-inspect.png": (("inspect", "fixtures/mlp/wrapped.h5"), "light", 1140, 1180, "body"),
    "page-explain.png": (
        ("explain", "fixtures/mlp/original.h5", "fixtures/mlp/stripped.h5"),
        "dark",
        1140,
        830,
        "body",
    ),
    "page-compare.png": (
        ("explain", "fixtures/mlp/original.h5", "fixtures/mlp/wrapped.h5"),
        "light",
        1140,
        900,
        "section.compare",
    ),
}
"""Command, theme, width and height of every picture, and the part of the page at its top."""


def main() -> None:
    """Write every picture to docs/images."""
    with tempfile.TemporaryDirectory() as folder, browser() as window:
        for name, (arguments, scheme, width, height, part) in PICTURES.items():
            page = Path(folder) / f"{name}.html"
            command = [sys.executable, "-m", "modelinspect", *arguments, "--format", "html", "-o", str(page)]
            subprocess.run(command, cwd=ROOT, check=True)
            window.size(width, height)
            window.prefer(scheme)
            window.open(page)
            window.run(
                "document.documentElement.style.overflow = 'hidden'; dispatchEvent(new Event('resize'))"
            )
            window.run("document.querySelector(arguments[0]).scrollIntoView()", part)
            time.sleep(1)
            window.picture(ROOT / "docs" / "images" / name)


if __name__ == "__main__":
    main()
