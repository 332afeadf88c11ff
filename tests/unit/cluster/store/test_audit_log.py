"""The audit log: what becomes an entry, what one says, and that nobody can fill it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from cluster.model.audit import (
    KEPT_CHANGES,
    KEPT_ENTRIES,
    KEPT_OF_A_TOKEN,
    KEPT_REFUSALS,
    AuditEntry,
    Author,
)
from cluster.model.ids import SecretId, ServiceId, TaskId, TokenId
from cluster.model.meta import Meta
from cluster.model.objects import StoredObject
from cluster.model.secret import Secret, SecretSpec
from cluster.model.service import ReplicatedMode, Service, ServiceMode
from cluster.model.stack import NAMESPACE_LABEL
from cluster.model.task import Task
from cluster.model.token import DeployToken
from cluster.store.audit_log import record, record_refusal
from cluster.store.codec import decode_snapshot, encode_snapshot
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction
from tests.support.builders import make_cluster, make_node, make_task, seconds
from tests.unit.cluster.api.commands.transactions import spec

ADMIN = Author(name="user root", origin="unix uid 0")
TOKEN = Author(name="token ci", origin="tcp 10.0.0.7", token_id=TokenId("t1"))
Work = Callable[[Transaction], None]


class World:
    """A state that requests change, one after the other."""

    def __init__(self, *objects: StoredObject) -> None:
        self.state = ClusterState()
        self.at = 1000.0
        if objects:
            self(lambda tx: [tx.create(one) for one in objects], author=None)

    def __call__(self, work: Callable[[Transaction], Any], author: Author | None = ADMIN) -> None:
        tx = Transaction(self.state, seconds(self.at))
        work(tx)
        if author is not None:
            record(tx, self.state, author, "some action")
        self.state = self.state.preview(tx.changes, tx.revision)

    def refuse(self, author: Author = TOKEN, reason: str = "may not") -> None:
        def work(tx: Transaction) -> None:
            record_refusal(tx, author, "GET /swarm", reason)

        self(work, author=None)

    @property
    def entries(self) -> list[AuditEntry]:
        return list(self.state.audit)

    @property
    def last(self) -> AuditEntry:
        return self.entries[-1]

    def told(self) -> list[tuple[str, str, str, str]]:
        return [(one.deed, one.kind, one.name, one.note) for one in self.last.changes]


def service(name: str, image: str = "busybox:1", **members: Any) -> Service:
    return Service(
        id=ServiceId(f"id-{name}"), meta=Meta(), spec=spec(name, image, **members), spec_version=1
    )


def secret(name: str, stack: str = "") -> Secret:
    labels = {NAMESPACE_LABEL: stack} if stack else {}
    made = SecretSpec(name=name, labels=labels, data=b"canary-4711")
    return Secret(id=SecretId(f"id-{name}"), meta=Meta(), spec=made)


def changed(item: Any, **members: Any) -> Any:
    return msgspec.structs.replace(item, spec=msgspec.structs.replace(item.spec, **members))


def test_what_was_made_changed_and_removed_is_told_with_who_and_when() -> None:
    world = World()
    web = service("web", labels={NAMESPACE_LABEL: "shop"})
    world(lambda tx: tx.create(web))
    assert world.told() == [("created", "service", "web", "busybox:1")]
    assert (world.last.author, world.last.action, world.last.stack) == (
        ADMIN,
        "some action",
        "shop",
    )
    assert world.last.meta.created_at == seconds(1000)
    other = service("web", "busybox:2@sha256:0123", labels={NAMESPACE_LABEL: "shop"})
    world(lambda tx: tx.update(other))
    assert world.told() == [("updated", "service", "web", "busybox:2")]
    world(lambda tx: tx.delete(other))
    assert world.told() == [("removed", "service", "web", "")]
    assert len(world.entries) == 3


def test_a_change_of_replicas_alone_is_scaling() -> None:
    world = World(service("web"))
    five = ServiceMode(replicated=ReplicatedMode(replicas=5))
    world(lambda tx: tx.update(changed(service("web"), mode=five)))
    assert world.told() == [("scaled", "service", "web", "1 to 5 replicas")]


def test_what_the_cluster_does_by_itself_is_no_entry() -> None:
    web, node = service("web"), make_node("n1")
    world = World(web, node, make_cluster())
    world(lambda tx: tx.create(make_task("t1", web)))
    moved = msgspec.structs.replace(make_task("t1", web), node_id=node.id)
    world(lambda tx: tx.update(moved))
    world(lambda tx: tx.update(msgspec.structs.replace(web, spec_version=7)))
    world(lambda tx: tx.update(msgspec.structs.replace(node, network_index=9)))
    assert world.entries == []
    assert isinstance(world.state.task(TaskId("t1")), Task)


def test_changes_of_nodes_and_of_the_cluster_say_which() -> None:
    node, cluster = make_node("n1"), make_cluster()
    world = World(node, cluster)
    world(lambda tx: tx.update(changed(node, availability="drain", labels={"a": "b"})))
    assert world.told()[0][3] == "availability drain; labels"
    fresh = msgspec.structs.replace(cluster, worker_token="SWMTKN-new")
    world(lambda tx: tx.update(fresh))
    assert world.told() == [("rotated", "cluster", "worker join token", "")]


def test_a_token_is_told_by_name_and_stacks_and_a_rotation_as_such() -> None:
    token = DeployToken(
        id=TokenId("t1"), meta=Meta(), name="ci", digest="canary-4711", stacks=("shop", "blog-*")
    )
    world = World()
    world(lambda tx: tx.create(token))
    assert world.told() == [("created", "token", "ci", "for shop, blog-*")]
    world(lambda tx: tx.update(msgspec.structs.replace(token, digest="canary-4712")))
    assert world.told()[0][0] == "rotated"
    assert "canary" not in repr(world.entries)


def test_an_entry_holds_no_contents() -> None:
    world = World()
    world(lambda tx: tx.create(secret("shop_pass", "shop")))
    assert world.told() == [("created", "secret", "shop_pass", "")]
    assert b"canary-4711" not in msgspec.msgpack.encode(world.entries)
    assert b"canary-4711" in encode_snapshot(world.state)


def test_a_step_about_several_stacks_is_of_none() -> None:
    world = World()
    world(lambda tx: [tx.create(secret("a_x", "a")), tx.create(secret("b_x", "b"))])
    assert world.last.stack == ""


def test_an_entry_names_so_many_changes_and_counts_the_others() -> None:
    world = World()
    world(lambda tx: [tx.create(secret(f"s{n}")) for n in range(KEPT_CHANGES + 3)])
    assert (len(world.last.changes), world.last.left_out) == (KEPT_CHANGES, 3)


def test_names_are_cut_and_hold_nothing_that_looks_like_another_line() -> None:
    world = World()
    world(lambda tx: tx.create(secret("x\n" + "y" * 5000)))
    name = world.told()[0][2]
    assert name.startswith("x?y")
    assert len(name) <= 200


def test_snapshots_hold_the_log() -> None:
    world = World()
    world(lambda tx: tx.create(service("web")))
    world.refuse()
    assert list(decode_snapshot(encode_snapshot(world.state)).audit) == world.entries


def test_a_refusal_of_a_token_is_noted_once_a_minute() -> None:
    world = World()
    for _ in range(100):
        world.refuse()
    other = msgspec.structs.replace(TOKEN, name="token b", token_id=TokenId("t2"))
    world.refuse(other)
    assert [one.author.name for one in world.entries] == ["token ci", "token b"]
    world.at += 59
    world.refuse()
    assert len(world.entries) == 2
    world.at += 2
    world.refuse(reason="may not either")
    assert world.last.refusal == "may not either"


def test_two_entries_of_one_step_have_ids_of_their_own() -> None:
    world = World()

    def work(tx: Transaction) -> None:
        first = tx.state
        tx.create(secret("a"))
        record(tx, first, ADMIN, "first")
        second = tx.state
        tx.create(secret("b"))
        record(tx, second, ADMIN, "second")

    world(work, author=None)
    assert [one.action for one in world.entries] == ["first", "second"]


def test_a_token_pushes_out_what_it_did_itself_and_nothing_else() -> None:
    world = World()
    world(lambda tx: tx.create(service("web")))
    made = secret("s")
    for _ in range(KEPT_OF_A_TOKEN):
        world(lambda tx: tx.create(made), author=TOKEN)
        world(lambda tx: tx.delete(made), author=TOKEN)
        world.at += 61
        world.refuse()
    assert len(world.entries) == 1 + KEPT_OF_A_TOKEN + KEPT_REFUSALS
    assert world.entries[0].author == ADMIN
    assert [one.meta.version for one in world.entries[-3:]] == [
        world.state.revision - 2,
        world.state.revision - 1,
        world.state.revision,
    ]


def test_the_newest_entries_are_kept() -> None:
    world = World()
    made = secret("s")
    for _ in range(KEPT_ENTRIES // 2 + 100):
        world(lambda tx: tx.create(made))
        world(lambda tx: tx.delete(made))
    assert KEPT_ENTRIES <= len(world.entries) < KEPT_ENTRIES + 64
    versions = [one.meta.version for one in world.entries]
    assert versions == list(range(versions[0], world.state.revision + 1))
