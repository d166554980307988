"""Build modelinspect as one file that Python runs: ``modelinspect.pyz``.

usage: python scripts/build_pyz.py [--output DIR] [--constraint FILE] [--named]

pip installs the package and its dependencies into a folder, and `zipapp` makes the file. Python cannot import
compiled modules from a zip archive, so the file first unpacks itself into a folder of the user's cache, once
for each build (`pyz_main.py`). It runs on the kind of system and the release of Python that built it, and
says so on another. ``--named`` puts both into the name of the file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipapp
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAIN = Path(__file__).resolve().with_name("pyz_main.py")


def main() -> int:
    """Install, assemble, and print the name and size of the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="the folder of the result")
    parser.add_argument("--constraint", type=Path, help="a file of versions for pip")
    parser.add_argument("--named", action="store_true", help="put system and Python into the name")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        install(site, options.constraint)
        options.output.mkdir(parents=True, exist_ok=True)
        path = options.output / (file_name() if options.named else "modelinspect.pyz")
        assemble(site, path)
    print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


def install(site: Path, constraint: Path | None) -> None:
    """Install the package and what it needs into a folder."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
        "--target",
        site,
    ]
    if constraint is not None:
        command += ["--constraint", constraint]
    subprocess.run([*command, ROOT], check=True)


def assemble(site: Path, path: Path) -> None:
    """Make the file from a folder of installed packages.

    The same folder gives the same build, and so the same cache.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree(site, root / "site", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        shutil.rmtree(root / "site" / "bin", ignore_errors=True)  # its scripts name the Python of the build
        shutil.copyfile(MAIN, root / "__main__.py")
        (root / "build.json").write_text(
            json.dumps(build_of(root / "site"), indent=1) + "\n", encoding="utf-8"
        )
        part = path.with_name(f".{path.name}.part")
        zipapp.create_archive(root, part, interpreter="/usr/bin/env python3", compressed=True)
        part.chmod(0o755)
        part.replace(path)


def build_of(site: Path) -> dict[str, object]:
    """Return what the file says about itself: its digest, the system and Python that it is for, and all files
    with their sizes.
    """
    files = {one.relative_to(site).as_posix(): one for one in sorted(site.rglob("*")) if one.is_file()}
    digest = hashlib.sha256()
    for name, one in files.items():
        digest.update(f"{name}\0{one.stat().st_size}\0".encode())
        digest.update(one.read_bytes())
    return {
        "digest": digest.hexdigest(),
        "system": sysconfig.get_platform(),
        "python": list(sys.version_info[:2]),
        "files": {name: one.stat().st_size for name, one in files.items()},
    }


def file_name() -> str:
    """Return a name with the version, the release of Python and the system."""
    text = (ROOT / "src" / "modelinspect" / "version.py").read_text(encoding="utf-8")
    version = re.search(r'^VERSION = "(.+)"$', text, re.MULTILINE)
    system = re.sub(r"[^\w.]+", "_", sysconfig.get_platform())
    return f"modelinspect-{version[1] if version else ''}-py{sys.version_info[0]}{sys.version_info[1]}-{system}.pyz"  # noqa: E501


if __name__ == "__main__":
    sys.exit(main())
