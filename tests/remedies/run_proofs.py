"""Runs every proof in one process, each in a folder of its own, and writes what went wrong with each.

usage: python -m tests.remedies.run_proofs FOLDER SEED [NAME...]: writes FOLDER/results.json

Weights begin at random: every proof begins at the same seed, so that a proof that holds once holds again. A
proof has to hold at other seeds too: ``for seed in $(seq 20); do python -m tests.remedies.run_proofs
/tmp/$seed $seed; done``.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path

from tests.remedies.all_proofs import all_proofs


def main(root: Path, seed: int, names: list[str]) -> None:
    import keras
    import tf_keras

    results: dict[str, str] = {}
    for name, proof in all_proofs().items():
        if names and name not in names:
            continue
        folder = root / name
        folder.mkdir(parents=True)
        os.chdir(folder)
        started = time.perf_counter()
        for library in (keras, tf_keras):
            library.utils.set_random_seed(seed)
        try:
            proof.run()
            results[name] = ""
        except BaseException:
            results[name] = traceback.format_exc()
        print(
            f"{time.perf_counter() - started:6.2f} s {name} {'ok' if not results[name] else 'FAILED'}",
            flush=True,
        )
        (root / "results.json").write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
