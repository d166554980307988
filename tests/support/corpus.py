"""Finds the corpus: real artifacts that nobody in the project wrote.

It is the folder that the environment variable MODELINSPECT_CORPUS names, or ``shared/corpus`` beside the
project's root. A test that needs it is marked ``@pytest.mark.corpus`` and skips where it is missing.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class CorpusFile:
    """A file of the corpus; ``format`` is the manifest's word (keras-h5, other-h5, tflite, …)."""

    name: str
    path: Path
    format: str
    size: int


def find_corpus() -> Path | None:
    """Return the corpus folder, or None where this machine has none."""
    named = os.environ.get("MODELINSPECT_CORPUS")
    folders = (
        [Path(named)] if named else [PROJECT.parent / "shared" / "corpus", PROJECT / "shared" / "corpus"]
    )
    return next((folder for folder in folders if (folder / "MANIFEST.tsv").is_file()), None)


def corpus() -> Path:
    """Return the corpus folder; skip the test where there is none."""
    folder = find_corpus()
    if folder is None:
        pytest.skip("no corpus here; set MODELINSPECT_CORPUS to its folder")
    return folder


def corpus_file(name: str) -> Path:
    """Return a file or folder of the corpus; skip the test where it is missing."""
    path = corpus() / name
    if not path.exists():
        pytest.skip(f"the corpus here has no {name}")
    return path


@cache
def corpus_files(*formats: str) -> tuple[CorpusFile, ...]:
    """Return the files of the corpus, all or those of some formats; empty where there is no corpus (for
    parametrize).
    """
    folder = find_corpus()
    if folder is None:
        return ()
    with (folder / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    header = rows[0]
    name, form, size = (header.index(key) for key in ("path", "format", "size"))
    files = (CorpusFile(row[name], folder / row[name], row[form], int(row[size])) for row in rows[1:] if row)
    return tuple(file for file in files if (not formats or file.format in formats) and file.path.is_file())


def find_hostile() -> Path | None:
    """Return the folder of hostile files that MODELINSPECT_HOSTILE names, or ``shared/hostile`` beside the
    project; None without one.
    """
    named = os.environ.get("MODELINSPECT_HOSTILE")
    folders = (
        [Path(named)] if named else [PROJECT.parent / "shared" / "hostile", PROJECT / "shared" / "hostile"]
    )
    return next((folder for folder in folders if (folder / "lint").is_dir()), None)
