from __future__ import annotations

import msgspec
import pytest

from cluster.api.commands.cluster import check_cluster_spec, the_cluster, update_cluster
from cluster.api.payloads.swarm import with_defaults
from cluster.errors import InvalidArgument, OutOfSequence, Unavailable
from cluster.model.cluster import (
    CaConfig,
    ClusterSpec,
    DispatcherConfig,
    EncryptionConfig,
    OrchestrationConfig,
)
from cluster.model.units import SECOND_NS
from tests.support.identities import cluster_object
from tests.support.memory_store import MemoryStore

HOUR_NS = 3600 * SECOND_NS


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(cluster_object())


def test_settings_and_tokens_are_changed(store: MemoryStore) -> None:
    before = the_cluster(store.view())
    wanted = with_defaults(ClusterSpec(dispatcher=DispatcherConfig(heartbeat_period=SECOND_NS * 3)))
    store.commit(lambda tx: update_cluster(tx, wanted, before.meta.version, new_worker_token="new"))
    after = the_cluster(store.view())
    assert after.spec == wanted
    assert (after.worker_token, after.manager_token) == ("new", before.manager_token)
    with pytest.raises(OutOfSequence):
        store.commit(lambda tx: update_cluster(tx, wanted, before.meta.version))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "foo"}, 'swarm spec must be named "default"'),
        ({"ca_config": CaConfig(node_cert_expiry=HOUR_NS - 1)}, "minimum certificate expiry time"),
        ({"dispatcher": DispatcherConfig(heartbeat_period=-1)}, "HeartbeatPeriod"),
        (
            {"dispatcher": DispatcherConfig(heartbeat_period=1_000_000)},
            r"HeartbeatPeriod: 0\.001s is below the minimum of 1s; 0 means the default",
        ),
        (
            {"orchestration": OrchestrationConfig(task_history_retention_limit=-1)},
            "TaskHistoryRetentionLimit",
        ),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, object], message: str) -> None:
    spec = with_defaults(ClusterSpec())
    with pytest.raises(InvalidArgument, match=message):
        check_cluster_spec(msgspec.structs.replace(spec, **changes))


def test_the_unlock_key_comes_with_the_lock_stays_and_goes_with_it(store: MemoryStore) -> None:
    def update(key: str, *, auto_lock: bool, rotates: bool = False) -> str:
        version = the_cluster(store.view()).meta.version
        encryption = EncryptionConfig(auto_lock_managers=auto_lock)
        spec = with_defaults(ClusterSpec(encryption_config=encryption))
        store.commit(
            lambda tx: update_cluster(
                tx, spec, version, new_unlock_key=key, rotates_unlock_key=rotates
            )
        )
        return the_cluster(store.view()).unlock_key

    assert update("one", auto_lock=False, rotates=True) == ""
    assert update("one", auto_lock=True) == "one"
    assert update("two", auto_lock=True) == "one"
    assert update("two", auto_lock=True, rotates=True) == "two"
    assert update("three", auto_lock=False) == ""


def test_before_the_first_entry_there_is_no_cluster() -> None:
    with pytest.raises(Unavailable, match="try again"):
        the_cluster(MemoryStore().view())
