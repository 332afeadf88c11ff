from __future__ import annotations

import pytest

from cluster.api.payloads.nodes import decode_node_spec
from cluster.errors import InvalidArgument


def test_a_role_is_never_guessed() -> None:
    spec = decode_node_spec(b'{"role":"manager","availability":"drain","Labels":{"A":"b"}}')
    assert (spec.role, spec.availability, spec.labels) == ("manager", "drain", {"A": "b"})
    with pytest.raises(InvalidArgument, match='invalid Role: "boss"'):
        decode_node_spec(b'{"Role":"boss","Availability":"active"}')
    with pytest.raises(InvalidArgument, match='invalid Role: ""'):
        decode_node_spec(b'{"Availability":"active"}')
    with pytest.raises(InvalidArgument, match='invalid Availability: "x"'):
        decode_node_spec(b'{"Role":"worker","Availability":"x"}')
