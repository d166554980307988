"""The TensorFlow releases whose converter is known, and what each of them writes otherwise than the newest.

`benchmarks/accuracy/release_networks.py` converts the same networks with each release, and
docs/developer/predictions.md has the table of what was found.
"""

from __future__ import annotations

from enum import StrEnum

from modelinspect.core.records import dataclass
from modelinspect.errors import UsageError


class ConstantNames(StrEnum):
    """What a release calls constants that the converter moves to the start of the graph."""

    USERS = "users"
    """After the operators that take them."""
    NOTHING = "nothing"
    """``arith.constant`` and a number."""
    READS = "reads"
    """The same; biases that need not be moved are named after the node that reads the variable."""


@dataclass(frozen=True, slots=True)
class Release:
    """A TensorFlow release: its number, the version that was measured, and what its converter does."""

    number: str
    version: str
    constants: ConstantNames = ConstantNames.USERS
    repeats_metadata: bool = False
    """Whether a model that is read and written again, which sparse and full-integer ones are, names the
    version of the runtime twice.
    """
    has_channels: bool = True
    """Whether int8 weights of dense layers have a scale for each output, and not one."""
    has_hash: bool = True
    """Whether the description of the conversion has a hash of the SavedModel."""
    has_debug_index: bool = False
    """Whether operators around int16 activations have a number of debugging metadata, which there are not."""
    moves_reshapes: bool = False
    """Whether an operator that takes two reshaped tensors is before the reshape."""


RELEASES: tuple[Release, ...] = (
    Release("2.21", "2.21.0"),
    Release("2.20", "2.20.0", ConstantNames.NOTHING),
    Release("2.19", "2.19.1", ConstantNames.READS, repeats_metadata=True),
    Release(
        "2.18",
        "2.18.1",
        ConstantNames.READS,
        repeats_metadata=True,
        moves_reshapes=True,
        has_debug_index=True,
    ),
    Release("2.17", "2.17.1", ConstantNames.READS, repeats_metadata=True, moves_reshapes=True),
    Release(
        "2.16",
        "2.16.2",
        ConstantNames.READS,
        repeats_metadata=True,
        moves_reshapes=True,
        has_channels=False,
        has_hash=False,
    ),
)
"""The releases that were measured, the newest first."""
NEWEST = RELEASES[0]


def measured_release(text: str) -> Release | None:
    """Return the release of a version such as 2.19 or 2.19.0; None for one that was not measured."""
    number = ".".join(text.split(".")[:2])
    return next((release for release in RELEASES if release.number == number), None)


def release_of(text: str) -> Release:
    """Return the release of a version such as 2.19 or 2.19.0. Raises `UsageError` for one not measured."""
    release = measured_release(text)
    if release is not None:
        return release
    known = ", ".join(release.number for release in RELEASES)
    raise UsageError(f"the files of TensorFlow {text} are not predicted; those of {known} are")
