"""Limits hold for an artifact as a whole, and can be set by name."""

from __future__ import annotations

import pytest

from modelinspect.core.limits import GIB, MIB, Cost, Limits, limit_names, parse_limits
from modelinspect.errors import Code, LimitError, UsageError


def test_many_small_costs_reach_the_limit_together() -> None:
    limits = Limits(copied_size=100)
    for _ in range(10):
        limits.spend(Cost.COPIED, 10)
    with pytest.raises(LimitError):
        limits.spend(Cost.COPIED, 1)


def test_another_artifact_begins_with_nothing_spent() -> None:
    limits = Limits(copied_size=100)
    limits.spend(Cost.COPIED, 100)
    limits.fresh().spend(Cost.COPIED, 100)
    assert limits == limits.fresh()


def test_what_is_stored_allows_more_decompressed_bytes() -> None:
    limits = Limits(large_size=1_000, large_expansion=10)
    limits.ledger.stored = 50
    limits.spend(Cost.DECOMPRESSED, 1_000)
    with pytest.raises(LimitError) as caught:
        limits.spend(Cost.DECOMPRESSED, 1)
    assert caught.value.code is Code.EXPANSION
    limits.ledger.stored = 500
    limits.spend(Cost.DECOMPRESSED, 3_000)


def test_limits_are_set_by_name_and_unit() -> None:
    found = parse_limits(("structure_size=1GiB", "document-size=64 MiB", "members=1,000"))
    assert found == Limits(structure_size=GIB, document_size=64 * MIB, members=1_000)
    assert parse_limits(()) is None
    assert "ledger" not in limit_names()


@pytest.mark.parametrize(
    "text", ["structure_size", "nothing=1", "members=-1", "members=0", "members=1e9", "members=", "ledger=1"]
)
def test_what_is_not_a_limit_or_not_a_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_limits((text,))
