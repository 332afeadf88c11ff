"""Every command that a document prints is typed by a test, or it is said why not."""

from __future__ import annotations

import pytest

from tests.e2e.test_typed_commands import TYPED
from tests.support.typed_commands import DOCUMENTS, NOT_TYPED, commands


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_is_typed_or_listed(document: str) -> None:
    typed = {one.command for one in TYPED if one.document == document}
    printed = commands(document)
    assert [one for one in printed if one not in typed and one not in NOT_TYPED] == []
    assert typed - set(printed) == set(), "the document has them no more"


def test_what_is_listed_is_printed_somewhere() -> None:
    printed = {command for document in DOCUMENTS for command in commands(document)}
    assert set(NOT_TYPED) - printed == set()
