"""Show where the bytes of a TensorFlow model file go, and why.

The names below are imported when they are first used: ``import modelinspect`` loads no numpy, h5py, protobuf,
rich, typer or fsspec.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelinspect.api import check as check
    from modelinspect.api import check_models as check_models
    from modelinspect.api import compare_content as compare_content
    from modelinspect.api import diff as diff
    from modelinspect.api import explain as explain
    from modelinspect.api import inspect as inspect
    from modelinspect.api import lint as lint
    from modelinspect.api import models as models
    from modelinspect.api import open as open
    from modelinspect.api import plan as plan
    from modelinspect.api import shrink as shrink
    from modelinspect.api import tensors as tensors
    from modelinspect.core.artifact import Artifact as Artifact
    from modelinspect.core.artifact import Diagnostic as Diagnostic
    from modelinspect.core.limits import Limits as Limits
    from modelinspect.core.span import Span as Span
    from modelinspect.core.tensors import Tensor as Tensor
    from modelinspect.errors import FormatError as FormatError
    from modelinspect.errors import IncompleteError as IncompleteError
    from modelinspect.errors import InvariantError as InvariantError
    from modelinspect.errors import LimitError as LimitError
    from modelinspect.errors import LocationError as LocationError
    from modelinspect.errors import MissingExtraError as MissingExtraError
    from modelinspect.errors import ModelInspectError as ModelInspectError
    from modelinspect.errors import OutputError as OutputError
    from modelinspect.errors import SelectionError as SelectionError
    from modelinspect.errors import SourceChangedError as SourceChangedError
    from modelinspect.errors import TruncatedError as TruncatedError
    from modelinspect.errors import UnknownFormatError as UnknownFormatError
    from modelinspect.errors import UnsupportedFeatureError as UnsupportedFeatureError
    from modelinspect.errors import UsageError as UsageError
    from modelinspect.pruning.magnitude.callback import MagnitudePruning as MagnitudePruning
    from modelinspect.pruning.magnitude.oneshot import prune as prune
    from modelinspect.scanning import scan as scan
    from modelinspect.scanning import scan_batch as scan_batch
    from modelinspect.scanning import scan_iter as scan_iter
    from modelinspect.version import VERSION as __version__  # noqa: F401

_HOMES = {
    "Artifact": "modelinspect.core.artifact",
    "Diagnostic": "modelinspect.core.artifact",
    "FormatError": "modelinspect.errors",
    "IncompleteError": "modelinspect.errors",
    "InvariantError": "modelinspect.errors",
    "LimitError": "modelinspect.errors",
    "Limits": "modelinspect.core.limits",
    "LocationError": "modelinspect.errors",
    "MagnitudePruning": "modelinspect.pruning.magnitude.callback",
    "MissingExtraError": "modelinspect.errors",
    "ModelInspectError": "modelinspect.errors",
    "OutputError": "modelinspect.errors",
    "SelectionError": "modelinspect.errors",
    "SourceChangedError": "modelinspect.errors",
    "Span": "modelinspect.core.span",
    "Tensor": "modelinspect.core.tensors",
    "TruncatedError": "modelinspect.errors",
    "UnknownFormatError": "modelinspect.errors",
    "UnsupportedFeatureError": "modelinspect.errors",
    "UsageError": "modelinspect.errors",
    "check": "modelinspect.api",
    "check_models": "modelinspect.api",
    "compare_content": "modelinspect.api",
    "diff": "modelinspect.api",
    "explain": "modelinspect.api",
    "inspect": "modelinspect.api",
    "lint": "modelinspect.api",
    "models": "modelinspect.api",
    "open": "modelinspect.api",
    "plan": "modelinspect.api",
    "prune": "modelinspect.pruning.magnitude.oneshot",
    "scan": "modelinspect.scanning",
    "scan_batch": "modelinspect.scanning",
    "scan_iter": "modelinspect.scanning",
    "shrink": "modelinspect.api",
    "tensors": "modelinspect.api",
}

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("modelinspect.version").VERSION
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return __all__
