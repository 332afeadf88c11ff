"""A deploy token at any manager: what one passes on, and that it is taken back at once."""

from __future__ import annotations

import json

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
    assert "may not" in group.stack("audit", host=leader, env=mine, code=1).stderr
    group.docker("secret", "create", "audited", "-", host=followers[1], stdin="canary-4711")
    told = group.rows("audit", "--limit", "0", host=leader)
    nodes = {host: group.swarm_state(host)["NodeID"] for host in MANAGERS}
    by_ci = [one for one in told if one["Token"] == token.split("_")[1]]
    done = {one["Node"]["ID"]: one for one in by_ci if not one["Refusal"]}
    assert {one["Action"] for one in done.values()} == {"stack deploy"}
    assert nodes[followers[0]] in done, "the client's node is told, not the one that passed it on"
    assert {one["Node"]["ID"] for one in by_ci if one["Refusal"]} == {nodes[followers[1]]}
    assert (told[0]["Who"], told[0]["Origin"]) == ("user root", "unix uid 0")
    assert told[0]["Node"]["ID"] == nodes[followers[1]]
    assert told[0]["Changes"] == [
        {"Deed": "created", "Kind": "secret", "Name": "audited", "Note": ""}
    ]
    assert "canary-4711" not in json.dumps(told)
    group.docker("secret", "rm", "audited", host=followers[1])
    rotated = group.stack("token", "rotate", "ci", host=followers[1]).stdout.strip()
    for host in MANAGERS:
        said = group.stack("ls", host=host, env=mine, code=1)
        assert "rotated or removed" in said.stderr
        group.stack("ls", host=host, env={"STACK_TOKEN": rotated})
    group.stack("token", "rm", "ci", host=leader)
    for host in MANAGERS:
        group.stack("ls", host=host, env={"STACK_TOKEN": rotated}, code=1)
