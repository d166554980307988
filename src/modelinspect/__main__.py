"""Run the command line: ``python -m modelinspect``."""

from __future__ import annotations

from modelinspect.cli.main import entry

if __name__ == "__main__":
    entry()
