"""Loads every proof."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tests.remedies.proving import PROOFS, Proof

_NO_PROOFS = frozenset(("__init__", "all_proofs", "models", "proving", "run_proofs"))


def all_proofs() -> dict[str, Proof]:
    """Import every module of proofs; return the proofs by name."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in _NO_PROOFS and not path.stem.startswith("test_"):
            import_module(f"tests.remedies.{path.stem}")
    return PROOFS
