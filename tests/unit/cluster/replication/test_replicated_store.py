from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from cluster.errors import AlreadyExists, FatalStorageError, NotLeader
from cluster.replication.storage import RaftStorage
from cluster.store.change import Change, Created
from cluster.store.codec import FORMAT, encode_entry
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction
from tests.unit.cluster.replication.cluster_in_one_process import (
    create,
    names,
    network,
    running_group,
)


async def test_an_update_is_in_the_view_when_it_returns(tmp_path: Path) -> None:
    async with running_group(tmp_path, 1) as group:
        store = await group.leader()
        assert await store.update(create("a")) == "a"
        assert names(store.view()) == ["a"]
        assert store.view().revision == 1
        assert store.view().network_by_name("a").meta.version == 1


async def test_updates_see_those_before_them_without_waiting(tmp_path: Path) -> None:
    def count(tx: Transaction) -> int:
        number = len(tx.state.networks)
        tx.create(network(f"n{number:03}"))
        return number

    async with running_group(tmp_path, 1) as group:
        store = await group.leader()
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(store.update(count)) for _ in range(100)]
        assert [task.result() for task in running] == list(range(100))
        assert store.view().revision == 100


async def test_an_update_that_changes_nothing_waits_for_what_it_saw(tmp_path: Path) -> None:
    async with running_group(tmp_path, 1) as group:
        store = await group.leader()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(store.update(create("a")))
            await asyncio.sleep(0)
            assert names(store.view()) == []
            seen = await store.update(lambda tx: names(tx.state))
            assert seen == ["a"] == names(store.view())
        assert store.view().revision == 1


async def test_a_manager_stops_at_what_a_newer_one_has_written(tmp_path: Path) -> None:
    async with running_group(tmp_path, 1) as group:
        store = await group.leader()
        newer = bytes((FORMAT + 1,)) + encode_entry(())[1:]
        with pytest.raises(FatalStorageError, match=r"entry 7 of the log .* newer stackd"):
            store.apply(7, 1, newer)
        with pytest.raises(
            FatalStorageError, match=r"the snapshot from the leader .* newer stackd"
        ):
            store.restore(newer)


async def test_a_refusal_waits_for_what_it_saw_and_changes_nothing(tmp_path: Path) -> None:
    async with running_group(tmp_path, 1) as group:
        store = await group.leader()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(store.update(create("a")))
            await asyncio.sleep(0)
            with pytest.raises(AlreadyExists):
                await store.update(create("a"))
            assert names(store.view()) == ["a"]


async def test_a_cancelled_caller_does_not_disturb_others(tmp_path: Path) -> None:
    async with running_group(tmp_path, 1) as group:
        store = await group.leader()
        async with asyncio.TaskGroup() as tasks:
            impatient = tasks.create_task(store.update(create("a")))
            await asyncio.sleep(0)
            patient = tasks.create_task(store.update(create("b")))
            await asyncio.sleep(0)
            impatient.cancel()
        assert patient.result() == "b"
        assert names(store.view()) == ["a", "b"]


async def test_a_feed_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    async with running_group(tmp_path, 1) as group:
        store = await group.leader()

        async def write(prefix: str) -> None:
            for number in range(30):
                await store.update(create(f"{prefix}{number}"))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write("a"))
            tasks.create_task(write("b"))
            while store.view().revision < 7:
                await asyncio.sleep(0)
            async with store.subscribe() as feed:
                assert feed.start is store.view()
                state: ClusterState = feed.start
                seen: list[Change] = []
                while state.revision < 60:
                    committed = await anext(feed)
                    state = state.preview(committed.changes, committed.state.revision)
                    assert names(state) == names(committed.state)
                    seen.extend(committed.changes)
        assert len(seen) == 60 - feed.start.revision > 0
        assert all(isinstance(change, Created) for change in seen)
        assert [committed async for committed in feed] == []  # it is closed


async def test_a_stopped_store_refuses(tmp_path: Path) -> None:
    async with running_group(tmp_path, 1) as group:
        store = await group.leader()
        await group.stop(1)
        with pytest.raises(NotLeader):
            await store.update(create("a"))
        await store.wait_not_leader()


async def test_a_restart_brings_everything_back(tmp_path: Path) -> None:
    async with running_group(tmp_path, 1) as group:
        for number in range(70):  # several snapshots
            await (await group.leader()).update(create(f"n{number:02}"))
        before = group.stores[1].view()
        await group.stop(1)
        group.start(1)
        after = (await group.leader()).view()
        assert after.revision == before.revision == 70
        assert list(after.everything()) == list(before.everything())
    RaftStorage(tmp_path / "1").close()  # drops what a stop in the middle left
    assert len(list((tmp_path / "1/snapshots").iterdir())) == 2


async def test_three_members_hold_the_same(tmp_path: Path) -> None:
    async with running_group(tmp_path, 3) as group:
        store = await group.leader()
        async with asyncio.TaskGroup() as tasks:
            for number in range(40):
                tasks.create_task(store.update(create(f"n{number}")))
        await group.agree(40)
        everything = [list(s.view().everything()) for s in group.stores.values()]
        assert everything[0] == everything[1] == everything[2]
        assert sum(s.is_leader for s in group.stores.values()) == 1
        follower = next(s for s in group.stores.values() if not s.is_leader)
        with pytest.raises(NotLeader, match=f"member {group.id_of(store)} leads"):
            await follower.update(create("x"))


async def test_a_leader_that_is_cut_off_fails_its_updates_and_another_goes_on(
    tmp_path: Path,
) -> None:
    async with running_group(tmp_path, 3) as group:
        old = await group.leader()
        await old.update(create("kept"))
        group.cut_off = {group.id_of(old)}
        with pytest.raises(NotLeader, match="may still come to pass"):
            await old.update(create("lost"))
        new = await group.leader()
        await new.update(create("next"))
        group.cut_off = set()
        await group.agree(2)
        assert {tuple(names(s.view())) for s in group.stores.values()} == {("kept", "next")}


async def test_a_read_barrier_needs_a_majority(tmp_path: Path) -> None:
    async with running_group(tmp_path, 3) as group:
        store = await group.leader()
        await store.update(create("a"))
        assert names(await store.read_barrier()) == ["a"]
        group.cut_off = {group.id_of(store)}
        with pytest.raises(NotLeader):
            await store.read_barrier()


async def test_a_member_that_slept_catches_up_by_snapshot(tmp_path: Path) -> None:
    async with running_group(tmp_path, 3) as group:
        leader = await group.leader()
        sleeper = next(raft_id for raft_id in group.ids if raft_id != group.id_of(leader))
        await group.stop(sleeper)
        for number in range(70):
            await (await group.leader()).update(create(f"n{number:02}"))
        group.start(sleeper)
        async with group.stores[sleeper].subscribe() as feed:
            assert names(feed.start) == []
            await group.agree(70)
            committed = await anext(aiter(feed))
        assert len(committed.changes) > 20
        everything = [list(s.view().everything()) for s in group.stores.values()]
        assert everything[0] == everything[1] == everything[2]
        await group.stop(sleeper)
        group.start(sleeper)
        await group.agree(70)


async def test_logs_and_snapshots_stay_bounded(tmp_path: Path) -> None:
    """Ten objects, changed again and again, take the room of ten objects."""

    def change(number: int):
        def work(tx: Transaction) -> None:
            found = tx.state.networks.get(f"id-n{number % 10}")
            assert found is not None
            spec = msgspec.structs.replace(found.spec, labels={"number": str(number)})
            tx.update(msgspec.structs.replace(found, spec=spec))

        return work

    async with running_group(tmp_path, 3) as group:
        leader = await group.leader()
        sleeper = next(raft_id for raft_id in group.ids if raft_id != group.id_of(leader))
        for number in range(10):
            await leader.update(create(f"n{number}"))
        await group.stop(sleeper)
        for first in range(0, 2000, 50):
            async with asyncio.TaskGroup() as updates:
                for number in range(first, first + 50):
                    updates.create_task((await group.leader()).update(change(number)))
        group.start(sleeper)
        await group.agree(2010)
    for member in tmp_path.iterdir():
        files = [path for path in member.rglob("*") if path.is_file()]
        # two are kept, and one more where a member was stopped while it took the next
        assert len([path for path in files if path.suffix == ".snapshot"]) <= 3
        # segments of 64 KiB: the one in use, and those the older snapshot needs
        assert sum(path.stat().st_size for path in files) < 6 * 65536
