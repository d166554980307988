"""Says what a rule is, and runs all of them over an artifact."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module

from modelinspect.core.artifact import Artifact, Severity
from modelinspect.core.bytemap import TensorId
from modelinspect.core.tensors import Role, Storage, Tensor
from modelinspect.measure.facts import Measurements, TensorMeasure
from modelinspect.measure.free import HiddenReport
from modelinspect.networks.channels.removal import Removal
from modelinspect.networks.kernels import frozen_masks
from modelinspect.remedies import Advice, Remedy, example
from modelinspect.reports.categories import Category
from modelinspect.reports.entries import FindingEntry
from modelinspect.reports.wording import percent, plural

__all__ = ["Context", "Finding", "Rule", "find_all", "percent", "plural", "rules"]

RULES: tuple[str, ...] = (
    "baseline_already_sparse",
    "block_mismatch",
    "build_noise",
    "const_and_variable",
    "dead_channels",
    "dense_zeros",
    "densify_present",
    "duplicate_tensors",
    "float_with_few_values",
    "hidden_bytes",
    "identical_weights",
    "missing_data",
    "negative_zeros",
    "optimizer_state",
    "pruning_not_stripped",
    "quant_params_dominate",
    "sparse_encoding_net_loss",
    "sparse_weights_lost",
    "sparsity_lost",
    "sparsity_not_applied",
    "splat_constant",
    "tiny_model_overhead",
    "zip_stored",
)
"""The modules of this package that hold a ``RULE``."""

KEY_END = "/.ATTRIBUTES/VARIABLE_VALUE"
"""What the keys of a checkpoint's variables end in."""
MODEL_ROLES = frozenset((Role.WEIGHT, Role.STATISTIC, Role.CONSTANT, Role.OTHER))
_RANK = {severity: rank for rank, severity in enumerate((Severity.ERROR, Severity.WARNING, Severity.NOTE))}


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule may look at: the artifact, what was measured of it (None: nothing was), the bytes of each category.

    ``removal`` is what the network can do without, None where nothing is dead or the artifact does not tell how its layers are connected.
    """

    artifact: Artifact
    measurements: Measurements | None
    sizes: Mapping[Category, int]
    hidden: HiddenReport | None = None
    comparison: Comparison | None = None
    removal: Removal | None = None

    def share(self, size: int) -> str:
        """Return bytes as a percentage of the artifact."""
        return percent(size, self.artifact.size)

    def measured(self) -> Iterator[tuple[Tensor, TensorMeasure]]:
        """Yield the tensors of the model itself whose zeros were counted."""
        if self.measurements is not None:
            for index, tensor in enumerate(self.artifact.tensors):
                if tensor.role in MODEL_ROLES and self.measurements[TensorId(index)].measured:
                    yield tensor, self.measurements[TensorId(index)]

    def kernels(self) -> Iterator[tuple[Tensor, TensorMeasure]]:
        """Yield those of two axes or more, without masks that were frozen into a graph and constants that are stored as one element."""
        masks = {id(self.artifact.tensors[index]) for index in frozen_masks(self.artifact, self.measurements)}
        for tensor, measure in self.measured():
            is_splat = tensor.role is Role.CONSTANT and tensor.storage is Storage.INLINE and tensor.stored_size < tensor.logical_size
            if len(tensor.shape) > 1 and id(tensor) not in masks and not is_splat and not is_bias(self.name(tensor)):
                yield tensor, measure

    def name(self, tensor: Tensor) -> str:
        """Return what people call a tensor: of a checkpoint's key, the name that its variable had."""
        told = self.artifact.facts.get("variable_names")
        name = told.get(tensor.name) if isinstance(told, Mapping) else None
        return (name if isinstance(name, str) and name else tensor.name).removesuffix(KEY_END)

    def of_role(self, role: Role) -> list[Tensor]:
        """Return the tensors of a role."""
        return [tensor for tensor in self.artifact.tensors if tensor.role is role]

    def kernel_zeros(self) -> tuple[int, int]:
        """Return the zeros and all elements of the model's measured kernels."""
        kernels = [(tensor, measure) for tensor, measure in self.kernels() if tensor.role is not Role.OTHER]
        return sum(measure.zero_count or 0 for _, measure in kernels), sum(tensor.element_count for tensor, _ in kernels)


def is_bias(name: str) -> bool:
    """Tell whether a variable is a bias: those of recurrent layers and of the heads of attention have two axes, and begin as zeros."""
    return name.rpartition("/")[2].partition(":")[0].endswith("bias") or _NUMBERED_BIAS.search(name) is not None


_NUMBERED_BIAS = re.compile(r"(?:cell(?:_\d+)?/vars/2|(?:query|key|value|output)_dense/vars/1)$")
"""In a Keras store: of a GRU's cell, and of the projections of attention."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a rule may know when the artifact is compared with one before it.

    ``equal`` of the ``compared`` tensors of the model, which both sides have, have the same elements.
    """

    before: Context
    equal: int
    compared: int

    def locations(self, after: Context) -> dict[str, str]:
        """Return where both artifacts are, as a shell reads it."""
        return {"before": shlex.quote(self.before.artifact.location), "after": shlex.quote(after.artifact.location)}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found: a sentence with exact figures, the bytes it is about, and a remedy that works where there is one."""

    message: str
    bytes: int
    remedy: Advice | None = None

    @property
    def what_to_do(self) -> str:
        """The remedy in words and code, empty where there is none."""
        return self.remedy.text if self.remedy is not None else ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A thing worth knowing of an artifact.

    ``reason`` says in a line why; ``example`` is a message as the rule says it, ``remedies`` all that it may say to do.
    """

    id: str
    severity: Severity
    reason: str
    find: Callable[[Context], Iterator[Finding]]
    example: str = ""
    remedies: tuple[Remedy, ...] = ()

    @property
    def remedy(self) -> str:
        """What the rule says to do, for instance."""
        return example(self.remedies[0]).text if self.remedies else ""


def rules() -> list[Rule]:
    """Load every rule, sorted by id."""
    return [import_module(f"modelinspect.rules.wasteful.{name}").RULE for name in RULES]


def find_all(context: Context) -> tuple[FindingEntry, ...]:
    """Run every rule; the severest findings come first, then those about the most bytes."""
    found = [(rule, finding) for rule in rules() for finding in rule.find(context)]
    found.sort(key=lambda pair: (_RANK[pair[0].severity], -pair[1].bytes, pair[0].id))
    return tuple(
        FindingEntry(
            rule=rule.id,
            severity=str(rule.severity),
            message=finding.message,
            bytes=finding.bytes,
            remedy=finding.what_to_do,
        )
        for rule, finding in found
    )
