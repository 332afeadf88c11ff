"""A deploy token at any manager: what one passes on, and that it is taken back at once."""

from __future__ import annotations

from tests.support.cluster import idle
from tests.support.manager_group import MANAGERS, ManagerGroup


def test_a_token_works_at_every_manager_until_it_is_taken_back(group: ManagerGroup) -> None:
    leader = group.leader()
    followers = [host for host in MANAGERS if host != leader]
    token = group.stack("token", "create", "ci", "--stack", "shop", host=followers[0]).stdout
    mine = {"STACK_TOKEN": token.strip()}
    file = group.compose_file({"services": {"web": idle(replicas=2)}})
    here = ("--stable", "0", "--resolve-image", "never")
    for host in (followers[0], leader):
        group.stack("deploy", "-c", file, *here, "shop", host=host, env=mine)
        assert "shop_web" in group.stack("services", "shop", host=host, env=mine).stdout
    said = group.stack("deploy", "-c", file, "other", host=followers[1], env=mine, code=1)
    assert "deploy token ci may only deploy shop" in said.stderr
    assert "may not" in group.stack("token", "ls", host=followers[1], env=mine, code=1).stderr
    assert group.rows("history", "shop", host=followers[1])[0]["Author"] == "token ci"
    rotated = group.stack("token", "rotate", "ci", host=followers[1]).stdout.strip()
    for host in MANAGERS:
        said = group.stack("ls", host=host, env=mine, code=1)
        assert "rotated or removed" in said.stderr
        group.stack("ls", host=host, env={"STACK_TOKEN": rotated})
    group.stack("token", "rm", "ci", host=leader)
    for host in MANAGERS:
        group.stack("ls", host=host, env={"STACK_TOKEN": rotated}, code=1)
