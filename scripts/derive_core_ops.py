"""Derive the list of operators that TensorFlow itself registers.

usage: python scripts/derive_core_ops.py [--check]

The result is ``src/modelinspect/formats/graph/core_ops.txt``, sorted, a name a line: what the installed
release registers, and what is in the file already, so operators of older releases stay known.
``--check`` exits with 1 where the installed release has more.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

LIST = Path(__file__).resolve().parents[1] / "src" / "modelinspect" / "formats" / "graph" / "core_ops.txt"


def main() -> int:
    """Write the list, or check it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    known = set(LIST.read_text(encoding="utf-8").split())
    more = registered() - known
    if options.check:
        print(f"{len(more)} operators are missing: {', '.join(sorted(more)[:10])}" if more else "up to date")
        return int(bool(more))
    LIST.write_text("".join(f"{name}\n" for name in sorted(known | more)), encoding="utf-8")
    return 0


def registered() -> set[str]:
    """Return the names of the operators that the installed TensorFlow registers."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from tensorflow.core.framework.op_def_pb2 import OpList
    from tensorflow.python.client import pywrap_tf_session

    ops = OpList()
    ops.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return {op.name for op in ops.op}


if __name__ == "__main__":
    sys.exit(main())
