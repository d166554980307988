"""Run other tools on files of this repository, and keep what each reports; writes
`benchmarks/other_tools.csv`.

usage: python benchmarks/other_tools.py [TOOL=COMMAND...]

A tool that is not in this environment is given as a command, such as `modelscan=/some/venv/bin/modelscan`. A
row of a tool that is not at hand stays as it is. docs/guide/compared.md has its table from the CSV.
"""

from __future__ import annotations

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = Path(__file__).with_suffix(".csv")
MODEL = "fixtures/pruned_layers/cnn/stripped/model.h5"
TFLITE = "fixtures/pruned_mlp/stripped/float32.tflite"
ANALYZER = f"import tensorflow as tf; tf.lite.experimental.Analyzer.analyze(model_path={TFLITE!r})"
QUIET = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "MODELSCAN_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1"}
PYTHON = shlex.quote(sys.executable)
VERSION = f"{PYTHON} -c \"from importlib.metadata import version; print(version('tensorflow'))\""
TOOLS: dict[str, tuple[str, str, str, str]] = {
    "h5stat": (
        MODEL,
        "h5stat {file}",
        "h5stat -V",
        r"(File metadata: .*|Raw data: .*|Unaccounted space: .*|Total space: .*)",
    ),
    "TFLite Analyzer": (
        TFLITE,
        f"{PYTHON} -c {shlex.quote(ANALYZER)}",
        VERSION,
        r"(Model size: .*|Non-data buffer size: .*|Total data buffer size: .*)",
    ),
    "modelscan": (MODEL, "modelscan -p {file}", "modelscan -v", r"(No issues found!|Total Issues.*)"),
    "modelaudit": (MODEL, "modelaudit scan {file}", "modelaudit --version", r"(No security issues detected)"),
    "size-limit": (
        MODEL,
        "size-limit --json",
        "size-limit --version",
        r'("passed": \w+|"size": \d+|"sizeLimit": \d+)',
    ),
}
"""By tool: the file, the command, the command for its version, and what is kept of the output."""


def main() -> None:
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    rows = {row["tool"]: row for row in read()}
    for tool, (file, command, version, kept) in TOOLS.items():
        if tool in given:
            command, version = (text.replace(tool, given[tool], 1) for text in (command, version))
        output = run(command.format(file=file))
        lines = list(
            dict.fromkeys(" ".join(line.replace('"', "").split()) for line in re.findall(kept, output))
        )
        if lines:
            number = re.search(r"\d+\.\d+[\d.]*", run(version))
            rows[tool] = {
                "tool": tool,
                "version": number[0] if number else "",
                "file": file,
                "reports": "; ".join(lines),
            }
        print(tool, rows.get(tool, "not at hand"))
    with TABLE.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, ("tool", "version", "file", "reports"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[tool] for tool in TOOLS if tool in rows)


def read() -> list[dict[str, str]]:
    if not TABLE.is_file():
        return []
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def run(command: str) -> str:
    environment = (
        os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "NO_COLOR": "1"} | QUIET
    )
    done = subprocess.run(
        command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
