"""The pages of rules and causes say what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tests.support.corpus import PROJECT


def test_the_pages_of_rules_and_causes_are_current() -> None:
    spec = importlib.util.spec_from_file_location("generate_rules", PROJECT / "docs" / "generate_rules.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: dict[Path, str] = module.pages()
    assert set((PROJECT / "docs" / "reference" / "rules").glob("*.md")) == set(made)
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.name} is out of date; run: python docs/generate_rules.py"
        )
