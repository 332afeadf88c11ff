"""Options and fixtures of all tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# A run that decides about a change gives the same answer each time; at a desk new cases are tried.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite", action="store_true", help="write the present output into scenario files"
    )
    parser.addoption(
        "--seed", type=int, default=None, help="run the simulations with this one seed only"
    )


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--rewrite"))


@pytest.fixture
def only_seed(request: pytest.FixtureRequest) -> int | None:
    seed: int | None = request.config.getoption("--seed")
    return seed
