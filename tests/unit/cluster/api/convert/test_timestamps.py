from __future__ import annotations

import datetime

from hypothesis import given
from hypothesis import strategies as st

from cluster.api.convert.timestamps import rfc3339
from cluster.model.units import Timestamp


def test_a_fraction_has_no_zeros_at_its_end() -> None:
    assert rfc3339(Timestamp(1_795_425_689_601_449_670)) == "2026-11-23T09:21:29.60144967Z"
    assert rfc3339(Timestamp(1_000_000_000)) == "1970-01-01T00:00:01Z"


def test_a_moment_never_set_is_gos_zero_time() -> None:
    assert rfc3339(Timestamp(0)) == "0001-01-01T00:00:00Z"


@given(st.integers(min_value=1, max_value=250_000_000_000))
def test_dates_are_those_of_the_calendar(second: int) -> None:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    expected = (epoch + datetime.timedelta(seconds=second)).isoformat().replace("+00:00", "Z")
    assert rfc3339(Timestamp(second * 1_000_000_000)) == expected
