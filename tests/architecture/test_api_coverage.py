"""Each operation and each member of a service's spec is answered for, by a test that exists."""

from __future__ import annotations

import pytest

from tests.compat.api_coverage import FIELDS, OPERATIONS
from tests.support.lab_host import ROOT

MEMBERS = (ROOT / "tests/compat/traces/service-members-1.50.txt").read_text().split()
TESTS = sorted({row.test for row in FIELDS.values()} | set(OPERATIONS.values()))


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_has_a_row(member: str) -> None:
    assert any(member == row or member.startswith((f"{row}.", f"{row}[")) for row in FIELDS)


@pytest.mark.parametrize("row", FIELDS)
def test_a_row_is_of_a_member(row: str) -> None:
    assert any(member == row or member.startswith((f"{row}.", f"{row}[")) for member in MEMBERS)


def test_there_are_43_operations() -> None:
    assert len(OPERATIONS) == 43


@pytest.mark.parametrize("test", TESTS)
def test_a_named_test_exists(test: str) -> None:
    file, _, function = test.partition("::")
    text = (ROOT / "tests" / file).read_text()
    assert f"def {function}(" in text
