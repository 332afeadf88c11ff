"""Each operation and each member of a service's spec is answered for, by a test that exists."""

from __future__ import annotations

import pytest

from cluster.api.server import ROUTES
from tests.compat.api_coverage import FIELDS, OPERATIONS, OWN_OPERATIONS
from tests.support.lab_host import ROOT

MEMBERS = (ROOT / "tests/compat/traces/service-members-1.50.txt").read_text().split()
ALL_OPERATIONS = OPERATIONS | OWN_OPERATIONS
TESTS = sorted({row.test for row in FIELDS.values()} | set(ALL_OPERATIONS.values()))


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_has_a_row(member: str) -> None:
    assert any(member == row or member.startswith((f"{row}.", f"{row}[")) for row in FIELDS)


@pytest.mark.parametrize("row", FIELDS)
def test_a_row_is_of_a_member(row: str) -> None:
    assert any(member == row or member.startswith((f"{row}.", f"{row}[")) for member in MEMBERS)


def test_there_are_43_operations() -> None:
    assert len(OPERATIONS) == 43


def test_every_operation_that_is_served_names_a_test() -> None:
    served = {f"{route.method} {route.pattern.removesuffix('/?')}" for route in ROUTES.routes}
    assert {"GET /distribution/{name}/json", *served} == set(ALL_OPERATIONS)


@pytest.mark.parametrize("test", TESTS)
def test_a_named_test_exists(test: str) -> None:
    file, _, function = test.partition("::")
    text = (ROOT / "tests" / file).read_text()
    assert f"def {function}(" in text
