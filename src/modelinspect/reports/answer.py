"""The answer of `inspect` in one sentence, the notes of messages and remedies, and the commands to run next.

A remedy's first line is words; what follows is code to copy, which is shown once.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile

from modelinspect.core.artifact import FormatName
from modelinspect.reports.blocks import SHORT_CODE, Command, Commands, Note
from modelinspect.reports.categories import HELPER_STATE, Category
from modelinspect.reports.wording import short_size

STANDARD_INPUT = "-"
"""The location that is read once: no command can open it again."""

_MODELS: dict[str, str] = {
    FormatName.KERAS_HDF5: "Keras HDF5 model",
    FormatName.KERAS_ZIP: "Keras model (.keras)",
    FormatName.WEIGHTS_HDF5: "Keras weights file",
    FormatName.SAVED_MODEL: "SavedModel",
    FormatName.CHECKPOINT: "TensorFlow checkpoint",
    FormatName.GRAPH_DEF: "GraphDef",
    FormatName.TFLITE: "TFLite model",
    FormatName.TFJS: "TensorFlow.js model",
    FormatName.LITERTLM: "LiteRT-LM file",
    FormatName.SAFETENSORS: "safetensors model",
    FormatName.KERAS_PRESET: "model preset",
    FormatName.HDF5: "HDF5 file",
    FormatName.MLIR: "StableHLO module",
    FormatName.ORBAX: "Orbax checkpoint",
}
_PARTS: tuple[tuple[str, tuple[Category, ...]], ...] = (
    ("weights", (Category.DENSE_WEIGHTS,)),
    ("zeros stored in full", (Category.ZERO_WEIGHTS,)),
    ("compressed weights", (Category.COMPRESSED_WEIGHTS,)),
    ("sparse weights", (Category.SPARSE_VALUES, Category.SPARSE_INDEX)),
    ("scales and zero points", (Category.QUANTIZATION,)),
    ("optimizer state", (Category.OPTIMIZER_STATE,)),
    ("pruning state", (Category.PRUNING_STATE,)),
    ("compiled program", (Category.COMPILED,)),
    ("graph and layer configuration", (Category.GRAPH,)),
    ("metadata", (Category.METADATA,)),
    ("assets", (Category.ASSETS,)),
    ("debug information", (Category.DEBUG,)),
    ("file structure", (Category.CONTAINER,)),
    ("unused space", (Category.FREE,)),
    ("bytes that could not be identified", (Category.UNATTRIBUTED,)),
)
_SHOWN = 4
_SMALLEST = 0.05
"""The share from which a part is in the sentence; the largest is there in any case."""


def model_noun(format_name: str) -> str:
    """Return what a person calls an artifact of a format."""
    return _MODELS.get(format_name, format_name)


def answer(
    format_name: str, size: int, sizes: Mapping[Category, int], saving: int = 0, helpers: str = ""
) -> str:
    """Return one sentence: size, format, the largest parts with their shares, and what can be saved.

    ``saving`` is an estimate in bytes, 0 where there is none; ``helpers`` is what wraps the layers, as
    `InspectReport` says it.
    """
    what = f"{short_size(size)} {model_noun(format_name)}"
    state, _ = HELPER_STATE.get(helpers, ("", ""))
    parts = [
        (
            sum(sizes[category] for category in categories),
            state if state and Category.PRUNING_STATE in categories else name,
        )
        for name, categories in _PARTS
    ]
    parts = sorted((part for part in parts if part[0]), key=lambda part: -part[0])
    if not parts:
        return f"{what}."
    shown = [part for part in parts if part[0] >= _SMALLEST * size][:_SHOWN] or parts[:1]
    has_zeros = any(name == "zeros stored in full" for _, name in shown)
    texts = [f"{_whole_percent(part, size)} {_other(name) if has_zeros else name}" for part, name in shown]
    more = f"; an estimated {short_size(saving)} or more can be saved losslessly" if saving else ""
    return f"{what}: {', '.join(texts)}{more}."


def next_commands(location: str, *commands: tuple[str, str]) -> Commands | None:
    """Return commands on a location, each given as its arguments and its purpose; ``{}`` stands for the
    location.

    None where the location cannot be opened again.
    """
    if location == STANDARD_INPUT:
        return None
    path = _quoted(location)
    lines = tuple(
        Command(f"modelinspect {arguments.replace('{}', path)}", purpose) for arguments, purpose in commands
    )
    return Commands("Next", lines)


def finding_command(rule: str, location: str) -> str:
    """Return the command that prints a finding with the whole code of its remedy."""
    return (
        f"modelinspect explain {rule}"
        if location == STANDARD_INPUT
        else f"modelinspect explain {rule} {_quoted(location)}"
    )


def _quoted(location: str) -> str:
    """Return a location as a shell takes it; a leading dash does not make it an option."""
    return shlex.quote(f"./{location}" if location.startswith("-") else location)


def _other(name: str) -> str:
    return "other weights" if name == "weights" else name


def _whole_percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    if part != whole and share >= 99.5:
        return "over 99 %"
    return f"{share:.0f} %" if share >= 0.5 else "under 1 %"


_LEAST_ALIKE = 3
"""Of fewer lines in common, all are shown again."""
_MOST_CHANGED = 2


class Advisor:
    """Make the notes of one report; code that was shown before is referred to and not shown again.

    With ``partly``, of commands that differ in few lines from an earlier one, only those lines are shown.
    ``more`` returns the command that prints the code of a label; longer code is then left to that command.
    """

    def __init__(self, *, partly: bool = True, more: Callable[[str], str] | None = None) -> None:
        self._partly = partly
        self._more = more
        self._shown: list[tuple[str, list[str]]] = []

    def note(self, severity: str, label: str, text: str, remedy: str) -> Note:
        """Return a note with a remedy of words, then code."""
        words, _, code = remedy.partition("\n")
        return self._made(severity, label, text, words, code)

    def command(self, severity: str, label: str, text: str, code: str) -> Note:
        """Return a note with only code."""
        return self._made(severity, label, text, "", code)

    def _made(self, severity: str, label: str, text: str, words: str, code: str) -> Note:
        lines = code.split("\n") if code else []
        words = words.removesuffix(":")
        if self._more is not None and len(lines) > SHORT_CODE:
            return Note(severity, label, text, words, code, self._more(label))
        if len(lines) < _LEAST_ALIKE:
            return Note(severity, label, text, f"{words}:" if words and code else words, code)
        for other, shown in self._shown:
            if lines == shown:
                where = "as above" if other == label else f"as for {other} above"
                return Note(severity, label, text, f"{words}, {where}" if words else where)
            changed, at_end = _changed(lines, shown) if self._partly and not words else ([], False)
            if changed:
                how = "but ending with" if at_end else "but"
                return Note(severity, label, text, f"as for {other} above, {how}:", "\n".join(changed))
        self._shown.append((label, lines))
        return Note(severity, label, text, f"{words}:" if words else "", code)


def _changed(lines: list[str], shown: list[str]) -> tuple[list[str], bool]:
    """Return the few lines in which code differs from what is shown, and whether they end it; none where too
    little is alike.
    """
    before = _alike(iter(lines), iter(shown))
    after = _alike(reversed(lines[before:]), reversed(shown[before:]))
    if before + after < _LEAST_ALIKE or not before:
        return [], False
    if len(shown) == before + after:  # lines come in: the one before them says where
        before -= 1
    middle, other = lines[before : len(lines) - after], shown[before : len(shown) - after]
    few = max(len(middle), len(other)) <= _MOST_CHANGED and (after or len(middle) == len(other))
    return (middle, not after) if few else ([], False)


def _alike(one: Iterator[str], other: Iterator[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
