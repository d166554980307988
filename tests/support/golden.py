"""Compares outputs with golden files; ``pytest --update-golden`` rewrites them, and a review reads the
change.
"""

from __future__ import annotations

from pathlib import Path

import pytest


class Golden:
    """Golden files of one test module, in the folder ``golden`` beside it."""

    def __init__(self, folder: Path, update: bool) -> None:
        self.folder = folder
        self.update = update

    def check(self, name: str, text: str | bytes) -> None:
        """Fail where ``text`` is not what the golden file holds; write the file when asked to."""
        data = text if isinstance(text, bytes) else text.encode()
        path = self.folder / name
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            return
        if not path.is_file():
            pytest.fail(
                f"no golden file {path.name}; look at the output, then write it with"
                f" --update-golden:\n{data.decode(errors='replace')}"
            )
        if isinstance(text, str):
            assert text == path.read_bytes().decode(), (
                f"{path.name} differs; after a look at the change, rewrite it with --update-golden"
            )
        else:
            assert data == path.read_bytes(), (
                f"{path.name} differs; after a look at the change, rewrite it with --update-golden"
            )
