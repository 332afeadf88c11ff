from __future__ import annotations

import pytest

from cluster.errors import InvalidArgument
from cluster.executor.templates import Templates
from cluster.model.node import NodeDescription
from cluster.model.templates import NAMES, check
from tests.unit.cluster.executor.tasks import a_task


@pytest.mark.parametrize("name", NAMES)
def test_every_name_that_is_accepted_can_be_filled_in(name: str) -> None:
    text = f"{{{{{name}}}}}"
    check(text, "here")
    assert "{{" not in Templates(a_task(), NodeDescription()).fill(text, "here")


def test_labels_are_accepted_whether_they_exist_or_not() -> None:
    check('{{.Service.Labels.a}} {{index .Service.Labels "b"}}', "here")


def test_what_is_unknown_is_named_with_its_place() -> None:
    with pytest.raises(InvalidArgument, match=r"here: \{\{\.Bad\}\} is unknown; there are"):
        check("{{.Bad}}", "here")
