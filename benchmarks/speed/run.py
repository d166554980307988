"""Runs the benchmarks (``benchmarks/bench_*.py``) and prints a Markdown table.

usage: python benchmarks/speed/run.py [NAME...] [--list] [--folder FOLDER] [--write docs/benchmarks.md]

Each module has a docstring whose first line is its heading and ``bench(folder) -> list[Row]``; it makes its
files in the folder, a temporary one where none is given.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from benchmarks.speed.harness import BUSY, Row  # noqa: E402


def main() -> int:
    """Run what is asked for; the exit status is 1 where a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="modules, without bench_ (all)")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and stop")
    parser.add_argument("--folder", type=Path, help="where the files are made, and kept")
    parser.add_argument("--write", type=Path, help="write the table into this file too")
    arguments = parser.parse_args()
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    if arguments.list:
        print("\n".join(known))
        return 0
    names = arguments.names or known
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known)}")
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        sections = [section(name, folder) for name in names]
    text = header() + "\n".join(text for text, _ in sections)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")
    return 1 if any(missed for _, missed in sections) else 0


def header() -> str:
    """Say what the figures were measured with."""
    import h5py
    import numpy

    return (
        "# Benchmarks\n\nMade by `python benchmarks/speed/run.py --write docs/benchmarks.md`; whole"
        " processes\nunless it says otherwise, the fastest of some runs with the file in the page cache."
        f" Python {platform.python_version()}, numpy {numpy.__version__}, h5py {h5py.__version__},\nHDF5"
        f" {h5py.version.hdf5_version}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores.\n"
        + (
            "The machine did other things meanwhile: targets are compared with processor time.\n\n"
            if BUSY
            else "\n"
        )
    )


def section(name: str, folder: Path) -> tuple[str, bool]:
    """Run one module; return its part of the table, and whether it missed a target."""
    module = importlib.import_module(f"benchmarks.speed.bench_{name}")
    lines = [
        f"## {(module.__doc__ or name).splitlines()[0].rstrip('.')}",
        "",
        "| what | measured | target | met |",
        "| --- | ---: | ---: | --- |",
    ]
    print("\n".join(lines), flush=True)
    missed = False
    rows: list[Row] = module.bench(folder)
    for row in rows:
        met = "" if row.met is None else "yes" if row.met else "**no**"
        missed |= row.met is False
        lines.append(f"| {row.what} | {row.figure} | {row.target} | {met} |")
        print(lines[-1], flush=True)
    print(flush=True)
    return "\n".join([*lines, ""]), missed


if __name__ == "__main__":
    raise SystemExit(main())
