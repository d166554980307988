"""The facts of artifacts are those that core/facts.py lists."""

from __future__ import annotations

import pytest
from tests.support.fixtures import fixture_names, fixture_path

from modelinspect import api
from modelinspect.core.facts import Facts, set_fact
from modelinspect.errors import InvariantError


def test_a_fact_that_is_not_listed_is_a_mistake_of_ours() -> None:
    facts = Facts()
    set_fact(facts, "keras_version", "3.15.0")
    assert facts == {"keras_version": "3.15.0"}
    with pytest.raises(InvariantError, match="colour is not a fact"):
        set_fact(facts, "colour", "green")


@pytest.mark.parametrize("name", fixture_names())
def test_every_fact_of_the_fixtures_is_listed(name: str) -> None:
    assert api.open(fixture_path(name)).facts.keys() <= Facts.__annotations__.keys()
