"""Builds the wheel and the sdist, installs the wheel into an empty environment and uses it there.

usage: python scripts/check_package.py [PYTHON...]

Without arguments every supported Python that is on the PATH is tried. It fails where the package does not
work alone, brings TensorFlow, or fills site-packages with 150 MB or more.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST = 150_000_000
SUPPORTED = ("python3.11", "python3.12", "python3.13")
USES = (
    ("demo",),
    ("--help",),
    ("--version",),
    ("fixtures/keras_hdf5/normalized.h5",),
    ("fixtures/tflite/sparse_int8.tflite",),
    ("fixtures/saved_model/affine",),
    ("fixtures/checkpoint/adam",),
    ("fixtures/keras_zip/deflated.keras",),
    ("explain", "fixtures/mlp/original.h5", "fixtures/mlp/stripped.h5"),
)


def main() -> int:
    """Check every Python and print a row for each."""
    pythons = sys.argv[1:] or [name for name in SUPPORTED if works(name)]
    with tempfile.TemporaryDirectory() as folder:
        wheel = built(Path(folder))
        rows = [check(python, wheel, Path(folder) / f"venv-{index}") for index, python in enumerate(pythons)]
    print("\n".join(rows))
    return 0


def works(python: str) -> bool:
    """Return whether a Python is there and answers."""
    return (
        bool(shutil.which(python))
        and subprocess.run([python, "-V"], capture_output=True, check=False).returncode == 0
    )


def built(folder: Path) -> Path:
    """Build both distributions from a copy of what is committed or not ignored, and return the wheel."""
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, stdout=subprocess.DEVNULL
    )
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    print(f"{sdist.name}: {sdist.stat().st_size:,} bytes; {wheel.name}: {wheel.stat().st_size:,} bytes")
    return wheel


def check(python: str, wheel: Path, environment: Path) -> str:
    """Install the wheel for one Python and use it; return a row of what was measured.

    Raises `SystemExit` for what fails.
    """
    subprocess.run([python, "-m", "venv", environment], check=True)
    own = environment / "bin" / "python"
    subprocess.run([own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel], check=True)
    for use in USES:
        done = subprocess.run(
            [environment / "bin" / "modelinspect", *use],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{python}: modelinspect {' '.join(use)}: exit code {done.returncode}\n{done.stderr}")
    listed = subprocess.run(
        [own, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True
    ).stdout.lower()
    if "tensorflow" in listed or "keras" in listed:
        sys.exit(f"{python}: the base install brings TensorFlow:\n{listed}")
    place = subprocess.run(
        [own, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    site = Path(place.stdout.strip())
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    tools = sum(
        path.stat().st_size
        for name in ("pip", "setuptools", "pkg_resources")
        for path in (site / name).rglob("*")
        if path.is_file()
    )
    if size >= MOST:
        sys.exit(f"{python}: site-packages has {size:,} bytes")
    return (
        f"{python}: {len(USES)} uses work; site-packages has {size:,} bytes, {size - tools:,} without pip and"
        " setuptools; no TensorFlow"
    )


if __name__ == "__main__":
    sys.exit(main())
