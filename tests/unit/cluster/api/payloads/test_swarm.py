from __future__ import annotations

import msgspec
import pytest

from cluster.api.payloads.swarm import decode_init, decode_join
from cluster.api.versions import NEWEST, ApiVersion
from cluster.errors import InvalidArgument
from cluster.model.cluster import DEFAULT_HEARTBEAT_PERIOD_NS
from tests.unit.cluster.api.golden_files import golden


def test_a_recorded_init_is_completed_with_what_applies() -> None:
    request = decode_init(msgspec.json.encode(golden("swarm-init-request")), NEWEST)
    assert request.advertise_addr == "127.0.0.1"
    assert request.availability == "active"
    assert request.spec.name == "default"
    assert request.spec.orchestration.task_history_retention_limit == 5
    assert request.spec.dispatcher.heartbeat_period == DEFAULT_HEARTBEAT_PERIOD_NS
    assert request.spec.raft.election_tick == 10


def test_auto_lock_is_taken_from_both_places() -> None:
    given = decode_init(b'{"AutoLockManagers":true}', NEWEST)
    assert given.spec.encryption_config.auto_lock_managers


def test_old_clients_choose_no_pools_and_no_port_of_the_data_path() -> None:
    body = b'{"DefaultAddrPool":["10.0.0.0/8"],"SubnetSize":26,"DataPathPort":4000}'
    seen = [
        (given.default_addr_pool, given.subnet_size, given.data_path_port)
        for minor in (38, 39, 40)
        for given in [decode_init(body, ApiVersion(1, minor))]
    ]
    assert seen == [((), 0, 0), (("10.0.0.0/8",), 26, 0), (("10.0.0.0/8",), 26, 4000)]


def test_a_join_needs_a_token_and_a_manager() -> None:
    with pytest.raises(InvalidArgument, match="JoinToken"):
        decode_join(b'{"RemoteAddrs":["a:1"]}')
    with pytest.raises(InvalidArgument, match="RemoteAddrs"):
        decode_join(b'{"JoinToken":"SWMTKN-1-x-y"}')
    with pytest.raises(InvalidArgument, match="invalid Availability"):
        decode_join(b'{"JoinToken":"t","RemoteAddrs":["a:1"],"Availability":"x"}')


def test_a_request_to_join_does_not_show_its_token() -> None:
    request = decode_join(b'{"JoinToken":"SWMTKN-1-x-y","RemoteAddrs":["a:1"]}')
    assert "SWMTKN" not in repr(request)
