"""When certificates are renewed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ca.identity import NodeIdentity
from cluster.ca.renewal import renewal_time, retry_delay_s
from cluster.model.ids import ClusterId, NodeId
from cluster.model.units import SECOND_NS, Timestamp
from tests.support.manual_clock import START

HOUR = 3600 * SECOND_NS


@given(st.integers(1, 90 * 24), st.integers())
def test_renewal_is_between_half_and_four_fifths_of_the_validity(hours: int, seed: int) -> None:
    identity = NodeIdentity(
        node_id=NodeId("n1"),
        role="worker",
        cluster_id=ClusterId("c1"),
        not_before=Timestamp(START - HOUR),
        not_after=Timestamp(START + hours * HOUR),
    )
    share = (renewal_time(identity, random.Random(seed)) - START) / (hours * HOUR)
    assert 0.5 <= share <= 0.8


@pytest.mark.parametrize(
    ("failures", "longest"), [(1, 5), (2, 10), (5, 80), (11, 3600), (99, 3600)]
)
def test_retries_wait_longer_and_longer(failures: int, longest: float) -> None:
    delay = retry_delay_s(failures, random.Random(1))
    assert longest / 2 <= delay <= longest
