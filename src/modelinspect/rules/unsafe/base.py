"""Says what a rule about unsafe content is, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from modelinspect.core.artifact import Artifact, Severity
from modelinspect.rules.base import Context
from modelinspect.rules.unsafe.configs import Config, read_configs
from modelinspect.rules.unsafe.graphs import Node, risky_nodes
from modelinspect.rules.unsafe.places import Place
from modelinspect.sources.files import FileSet

__all__ = ["Located", "Place", "Subject", "UnsafeRule"]


class Subject:
    """What a rule may look at: the context of all rules, the artifact's open files, and what is read of them once."""

    def __init__(self, context: Context, files: FileSet) -> None:
        self.context = context
        self.files = files

    @property
    def artifact(self) -> Artifact:
        """The artifact."""
        return self.context.artifact

    @cached_property
    def configs(self) -> tuple[Config, ...]:
        """The configurations of models, layers and training."""
        return tuple(read_configs(self.artifact, self.files))

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of graphs, functions and TFLite models whose operator may be worth a word."""
        return tuple(risky_nodes(self.artifact, self.files))


@dataclass(frozen=True, slots=True)
class Located:
    """What a rule found: a sentence, the bytes that it is about, what to do, and the place where there is one."""

    message: str
    bytes: int
    remedy: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class UnsafeRule:
    """A kind of content that may do harm.

    ``reason`` says in a line why, ``remedy`` what to do, and ``example`` what a finding says.
    """

    id: str
    severity: Severity
    reason: str
    find: Callable[[Subject], Iterator[Located]]
    remedy: str
    example: str
