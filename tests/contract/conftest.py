"""Fixtures of the contract's suites."""

from __future__ import annotations

import pytest
from kinds import LANGUAGE, Kind


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> Kind:
    """The kind of agent under test; parametrised indirectly with its name."""
    return Kind(request.param, request.getfixturevalue("adders") if request.param in LANGUAGE else ())
