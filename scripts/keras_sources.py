"""Read the names that a release of Keras serializes from its sources, without importing it.

Old releases run under no Python and TensorFlow that are installed here, and their sources are enough: what a
configuration may name are classes below a few base classes, and functions of a few modules.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

BASES = frozenset(
    (
        *("Layer", "Initializer", "Loss", "Metric", "Optimizer", "OptimizerV2", "Regularizer", "Constraint"),
        *("LearningRateSchedule", "Policy", "DTypePolicy", "KerasSaveable", "Quantizer"),
    )
)
PARTS = ("activations", "losses", "metrics", "initializers", "regularizers", "constraints")
_SKIPPED = (
    "test",
    "benchmark",
    "callbacks",
    "wrappers/scikit",
    "applications",
    "datasets",
    "distribute/",
    "utils/",
)
_OTHER_BACKENDS = ("backend/jax", "backend/torch", "backend/openvino", "backend/mlx")
_NOT_SERIALIZED = ("get", "serialize", "deserialize", "clone_metric", "clone_metrics")


@dataclass
class Release:
    """The names of one release."""

    name: str
    version: str
    classes: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)


def read_release(folder: Path) -> Release:
    """Read a release that pip installed into a folder without what it needs.

    Raises `FileNotFoundError` where the folder has no Keras.
    """
    packages = [name for name in ("keras", "tf_keras") if (folder / name).is_dir()]
    if not packages:
        raise FileNotFoundError(f"{folder} holds neither keras nor tf_keras")
    info = next(
        path for path in folder.glob("*.dist-info") if path.name.lower().startswith(("keras-", "tf_keras-"))
    )
    release = Release(packages[0], info.name.removesuffix(".dist-info").rpartition("-")[2])
    bases: dict[str, set[str]] = {}
    aliases: list[tuple[str, str]] = []
    unmarked: set[str] = set()
    for path, tree in _modules(folder / packages[0]):
        _read_classes(tree, bases, aliases)
        for name, is_exported in _functions(path, tree):
            (release.functions if is_exported else unmarked).add(name)
    release.functions = release.functions or unmarked
    release.classes = {name for name in _below(bases) if not name.startswith("_")}
    for name, target in aliases:
        if target in release.classes and name[:1].isupper():
            release.classes.add(name)
        if target in release.functions:
            release.functions.add(name)
    return release


def _modules(package: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if not any(part in name for part in (*_SKIPPED, *_OTHER_BACKENDS)):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def _read_classes(tree: ast.Module, bases: dict[str, set[str]], aliases: list[tuple[str, str]]) -> None:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases.setdefault(node.name, set()).update(filter(None, map(_last, node.bases)))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            aliases += [(one.id, node.value.id) for one in node.targets if isinstance(one, ast.Name)]


def _last(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def _below(bases: dict[str, set[str]]) -> set[str]:
    """Return the classes that derive from one of the base classes, whatever module these are in."""
    found = set(BASES & set(bases))
    while True:
        more = {name for name, above in bases.items() if name not in found and above & (found | BASES)}
        if not more:
            return found
        found |= more


def _functions(path: str, tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Yield the functions that configurations may name, and whether the release marks them so; the first ones
    mark nothing.
    """
    parts = path.removesuffix(".py").split("/")
    if not any(part in parts for part in PARTS):
        return
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            names = {name.rpartition(".")[2] for name in _exports(node) if set(name.split(".")) & set(PARTS)}
            yield from ((name, True) for name in names if name not in _NOT_SERIALIZED)
            if not names and parts[-1] in PARTS and node.name not in _NOT_SERIALIZED:
                yield node.name, False


def _exports(node: ast.FunctionDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and _last(decorator.func) in ("keras_export", "tf_export"):
            for argument in ast.walk(decorator):
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value
