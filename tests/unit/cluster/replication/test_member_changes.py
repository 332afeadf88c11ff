"""What must hold before the members of a running group change."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import FailedPrecondition, NotLeader
from cluster.raft.entry import ConfState
from tests.unit.cluster.replication.cluster_in_one_process import create, names, running_group


async def test_a_voter_is_removed_and_the_others_go_on(tmp_path: Path) -> None:
    async with running_group(tmp_path, 3) as group:
        leader = await group.leader()
        own = group.id_of(leader)
        gone = next(i for i in group.ids if i != own)
        rest = tuple(i for i in group.ids if i != gone)
        assert await leader.driver.answering() == {1, 2, 3}
        await leader.driver.change_members(ConfState(rest))
        assert leader.driver.conf == ConfState(rest)
        await group.stop(gone)
        await leader.update(create("after"))
        assert names(leader.view()) == ["after"]


async def test_nobody_is_removed_in_the_moment_after_another_died(tmp_path: Path) -> None:
    async with running_group(tmp_path, 3) as group:
        leader = await group.leader()
        own = group.id_of(leader)
        dead, other = (i for i in group.ids if i != own)
        await leader.update(create("before"))
        await group.stop(dead)
        assert dead in leader.driver.reachable()  # nobody has missed it yet
        assert dead not in await leader.driver.answering()
        with pytest.raises(FailedPrecondition, match="loss of quorum"):
            await leader.driver.change_members(ConfState(tuple(sorted((own, dead)))))
        assert leader.driver.conf.voters == (1, 2, 3)
        # The dead one may go.
        await leader.driver.change_members(ConfState(tuple(sorted((own, other)))))
        await leader.update(create("after"))


async def test_only_the_leader_changes_members(tmp_path: Path) -> None:
    async with running_group(tmp_path, 3) as group:
        own = group.id_of(await group.leader())
        follower = next(i for i in group.ids if i != own)
        with pytest.raises(NotLeader):
            await group.drivers[follower].change_members(ConfState((1, 2)))
