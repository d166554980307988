"""Load model files by Keras 3 and tf_keras where a payload can do no harm, and print which of them ran it.

``python -m tests.rules.unsafe.load_models FOLDER``: the folder is also where real writers save their models
with lambdas. It runs without network and processes, writes only below the folder, and has little time and
memory.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from tests.rules.unsafe.configurations import UNKNOWN

PAYLOAD = """
import builtins
builtins.PROOF.append("import")
def run(*arguments, **settings):
    builtins.PROOF.append("call")
    return arguments[0] if arguments else None
class Payload:
    def __init__(self, *arguments, **settings):
        builtins.PROOF.append("class")
    @classmethod
    def from_config(cls, config, *more):
        return cls()
    def get_config(self):
        return {}
"""


MODULES = ("this", UNKNOWN)


class ForbiddenError(RuntimeError):
    """What the payload must not do even if it wanted to."""


def main() -> None:
    """Save models with lambdas, load every file by both libraries, print what ran."""
    folder = Path(sys.argv[1]).resolve()
    os.chdir(folder)
    for module in MODULES:
        (folder / f"{module}.py").write_text(PAYLOAD, encoding="utf-8")
    sys.path.insert(0, str(folder))
    builtins.PROOF = []
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        import keras
        import tf_keras

        written: list[str] = []
        refused: dict[str, str] = {}
        for label, library in (("keras3", keras), ("tf_keras", tf_keras)):
            _save(folder, label, library, written, refused)
        confine(folder)
        ran: dict[str, list[str]] = {}
        opened: dict[str, int] = {"keras3": 0, "tf_keras": 0}
        for path in sorted(folder.glob("[0-9]*.*")):
            for label, library in (("keras3", keras), ("tf_keras", tf_keras)):
                effects = _load(path, library, opened, label)
                if effects:
                    ran[path.name] = sorted(
                        {*ran.get(path.name, []), *(f"{label}: {effect}" for effect in effects)}
                    )
    print(json.dumps({"ran": ran, "written": written, "refused": refused, "opened": opened}))


def confine(folder: Path) -> None:
    """Take away the network, other processes, and writing anywhere but in the folder."""
    resource.setrlimit(resource.RLIMIT_CPU, (300, 310))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(
            ("socket.connect", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork")
        ):
            raise ForbiddenError(event)
        writes = (
            event == "open"
            and isinstance(arguments[0], str | bytes)
            and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        if writes and not os.path.realpath(os.fsdecode(arguments[0])).startswith((str(folder), os.devnull)):
            raise ForbiddenError(event)

    sys.addaudithook(hook)


def _load(path: Path, library: Any, opened: dict[str, int], label: str) -> list[str]:
    """Load a file as people do who trust it; return what it did."""
    builtins.PROOF.clear()
    for module in MODULES:
        sys.modules.pop(module, None)
    before = {path.name for path in Path().iterdir()}
    try:
        library.models.load_model(path, safe_mode=False)
        opened[label] += 1
    except Exception:  # most of these files are not whole models; what ran before the error counts
        pass
    new = {path.name for path in Path().iterdir()} - before - {"__pycache__"}
    for name in new:
        Path(name).rmdir() if Path(name).is_dir() else Path(name).unlink()
    return [*builtins.PROOF, *(f"file {name}" for name in sorted(new))]


def _save(folder: Path, label: str, library: Any, written: list[str], refused: dict[str, str]) -> None:
    """Save a model with a lambda in each place by the library itself, as ``.h5`` and ``.keras``; note what it
    refuses to save.
    """
    layers = library.layers
    places = {
        "activation": lambda: ([layers.Dense(2, activation=lambda x: x * 2)], None),
        "initializer": lambda: (
            [layers.Dense(2, kernel_initializer=lambda shape, dtype=None: _zeros(shape))],
            None,
        ),
        "layer": lambda: ([layers.Lambda(lambda x: x + 1)], None),
        "loss": lambda: ([layers.Dense(2)], lambda true, guess: guess - true),
    }
    for place, make in places.items():
        inner, loss = make()
        model = library.Sequential([layers.Input((3,)), *inner])
        if loss is not None:
            model.compile(loss=loss)
        for suffix in ("h5", "keras"):
            name = f"saved-{label}-{place}.{suffix}"
            try:
                model.save(folder / name)
            except (
                Exception
            ) as error:  # libraries refuse with many kinds; the test lists which models are refused
                refused[name] = f"{type(error).__name__}: {error}"
            else:
                written.append(name)


def _zeros(shape: Any) -> Any:
    import tensorflow as tf

    return tf.zeros(shape)


if __name__ == "__main__":
    main()
