"""The audit log at the server: who is told to have done what, through whichever door."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster.api.actions import ACTIONS, UNCALLED
from cluster.api.callers import CALLER, FORWARDED, ORIGIN
from cluster.api.server import ROUTES
from tests.compat.memory_node import MemoryNode
from tests.support.manual_clock import ManualClock
from tests.unit.cluster.api import test_limited_routes
from tests.unit.cluster.api.test_limited_routes import SHOP, Client, service

asked, api, node, clock = (
    test_limited_routes.asked,
    test_limited_routes.api,
    test_limited_routes.node,
    test_limited_routes.clock,
)

ASK = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(sys.stdin.buffer.read())
while connection.recv(65536):
    pass
"""


async def audit(api: Client, query: str = "") -> list[dict[str, Any]]:
    api.token, token = "", api.token
    status, found = await api("GET", f"/stackyard/audit{query}")
    api.token = token
    assert status == 200, found
    assert isinstance(found, list)
    return found


def advance(seconds: float, clock: ManualClock, node: MemoryNode) -> None:
    """Let time pass for the server and for the store."""
    assert node.memory is not None
    assert isinstance(node.memory.clock, ManualClock)
    for one in {clock, node.memory.clock}:
        one.advance(seconds)


async def last(api: Client) -> dict[str, Any]:
    return (await audit(api))[0]


def test_every_request_that_writes_has_a_name_or_is_named_as_having_none() -> None:
    writing = {(r.method, r.pattern) for r in ROUTES.routes if r.method not in {"GET", "HEAD"}}
    assert writing == set(ACTIONS) | UNCALLED
    assert not set(ACTIONS) & UNCALLED


async def test_a_deployment_is_told_with_stack_and_revision(api: Client) -> None:
    wanted = {"Services": [{"Spec": service("shop_api", SHOP)}], "Author": "somebody else"}
    status, answer = await api("POST", "/stacks/shop/deploy", wanted)
    assert status == 200, answer
    entry = await last(api)
    assert (entry["Action"], entry["Stack"]) == ("stack deploy", "shop")
    assert entry["Revision"] == answer["Revision"]
    assert entry["Changes"] == [
        {"Deed": "created", "Kind": "service", "Name": "shop_api", "Note": "busybox"}
    ]
    assert entry["Who"].startswith("user ")
    assert entry["Origin"].startswith("unix uid ")
    assert entry["Node"]["Hostname"] == "one"
    before = len(await audit(api))
    assert (await api("POST", "/stacks/shop/deploy", {"Services": []}))[0] == 200
    await api("POST", "/stacks/shop/lease", {"Holder": "me", "Seconds": 10})
    assert len(await audit(api)) == before
    await api("DELETE", "/stacks/shop/lease?force=true")
    broken = await last(api)
    assert (broken["Action"], broken["Stack"]) == ("stack unlock", "shop")
    assert broken["Changes"] == [
        {"Deed": "removed", "Kind": "lease", "Name": "shop", "Note": "of me"}
    ]


async def test_a_token_is_told_by_its_name_and_may_not_read_the_log(api: Client) -> None:
    api.token = await api.create_token()
    made = await last(api)
    assert made["Action"] == "token create"
    assert api.token.rpartition("_")[2] not in json.dumps(made)
    status, created = await api("POST", "/services/create", service("shop_api", SHOP))
    assert status == 201
    entry = await last(api)
    assert (entry["Who"], entry["Action"], entry["Stack"]) == ("token ci", "service create", "shop")
    assert entry["Token"] == api.token.split("_")[1]
    assert (await api("DELETE", f"/services/{created['ID']}"))[0] == 200
    assert (await last(api))["Action"] == "service rm"
    status, content = await api("GET", "/stackyard/audit")
    assert status == 403, content


async def test_a_refusal_is_noted_and_changes_nothing(
    api: Client, clock: ManualClock, node: MemoryNode
) -> None:
    api.token = await api.create_token()
    assert (await api("DELETE", "/services/other_web"))[0] == 403
    entry = await last(api)
    assert (entry["Action"], entry["Who"], entry["Changes"]) == ("service rm", "token ci", [])
    assert "may only deploy shop" in entry["Refusal"]
    for _ in range(20):
        assert (await api("POST", "/swarm/update?version=1", {}))[0] == 403
    assert (await last(api))["ID"] == entry["ID"]
    advance(61, clock, node)
    assert (await api("POST", "/services/create", service("other_x", {})))[0] == 403
    assert (await last(api))["Action"] == "service create"


async def test_what_was_passed_on_is_told_as_of_the_client(api: Client) -> None:
    """This test and the server are one process, which is what passes requests on."""
    passed = {CALLER: "certificate%20ci", ORIGIN: "tcp%2010.0.0.7", FORWARDED: "n2"}
    status, _ = await api("POST", "/services/create", service("a", {}), **passed)
    assert status == 201
    entry = await last(api)
    assert (entry["Who"], entry["Origin"]) == ("certificate ci", "tcp 10.0.0.7")
    assert entry["Node"] == {"ID": "n2", "Hostname": ""}
    api.token = await api.create_token()
    status, _ = await api("POST", "/services/create", service("shop_b", SHOP), **passed)
    assert status == 201
    entry = await last(api)
    assert (entry["Who"], entry["Origin"], entry["Node"]["ID"]) == (
        "token ci",
        "tcp 10.0.0.7",
        "n2",
    )


async def test_another_process_cannot_say_who_it_is(api: Client, tmp_path: Path) -> None:
    body = json.dumps(service("forged", {}))
    said = (
        f"POST /services/create HTTP/1.1\r\nHost: d\r\nConnection: close\r\n{CALLER}: token%20x\r\n"
        f"{ORIGIN}: tcp%201.2.3.4\r\n{FORWARDED}: n2\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    command = [sys.executable, "-c", ASK, str(tmp_path / "stackd.sock")]
    await asyncio.to_thread(subprocess.run, command, input=said.encode(), check=True, timeout=60)
    entry = await last(api)
    assert entry["Changes"][0]["Name"] == "forged"
    assert entry["Who"].startswith("user ")
    assert entry["Origin"].startswith("unix uid ")
    assert entry["Node"]["Hostname"] == "one"


async def test_the_log_is_read_by_stack_time_and_number(
    api: Client, clock: ManualClock, node: MemoryNode
) -> None:
    advance(100, clock, node)
    now = clock.now() // 10**9
    for number in range(3):
        await api("POST", "/secrets/create", {"Name": f"s{number}", "Data": "Y2FuYXJ5"})
    assert [one["Changes"][0]["Name"] for one in await audit(api, f"?since={now}")] == [
        "s2",
        "s1",
        "s0",
    ]
    assert len(await audit(api, "?limit=2")) == 2
    assert {one["Stack"] for one in await audit(api, "?stack=shop")} == {"shop"}
    everything = await audit(api)
    assert "Y2FuYXJ5" not in json.dumps(everything)
    assert "canary" not in json.dumps(everything)


@pytest.mark.parametrize("query", ["?limit=x", "?since=yesterday", "?limit=-1"])
async def test_a_wrong_wish_is_refused(api: Client, query: str) -> None:
    status, content = await api("GET", f"/stackyard/audit{query}")
    assert status == 400
    assert query[1:6] in content["message"]
