from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster.api.commands.service_names import name_from_id
from cluster.model.ids import ID_LENGTH, id_from_int


@given(st.integers(min_value=0, max_value=36**ID_LENGTH - 1))
def test_every_id_gives_a_name(number: int) -> None:
    quality, person = name_from_id(id_from_int(number)).split("_")
    assert quality.isalpha()
    assert person.isalpha()


def test_names_differ() -> None:
    assert len({name_from_id(id_from_int(number)) for number in range(1600)}) == 1600
