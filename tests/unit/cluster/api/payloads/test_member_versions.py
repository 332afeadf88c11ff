from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.api.payloads.member_versions import SINCE, without_newer_members
from cluster.api.payloads.services import decode_service_spec
from cluster.api.versions import NEWEST, OLDEST, ApiVersion
from tests.support.lab_host import ROOT

MEMBERS = (ROOT / "tests/compat/traces/service-members-1.50.txt").read_text().split()
SET: dict[str, Any] = {
    "Sysctls": {"net.core.somaxconn": "1"},
    "Config": "c",
    "Runtime": {},
    "MaxReplicas": 2,
    "CapabilityAdd": ["CAP_NET_ADMIN"],
    "CapabilityDrop": ["CAP_NET_RAW"],
    "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
    "Pids": 3,
    "ReplicatedJob": {"TotalCompletions": 4},
    "GlobalJob": {},
    "Seccomp": {"Mode": "unconfined"},
    "AppArmor": {"Mode": "disabled"},
    "NoNewPrivileges": True,
    "StartInterval": 5_000_000,
    "Options": [["noexec"]],
    "OomScoreAdj": 6,
}


def body_with(member: str, value: Any) -> bytes:
    """Return a service of which one member has a value."""
    body: dict[str, Any] = {"TaskTemplate": {"ContainerSpec": {"Image": "a"}}}
    at = body
    *parents, last = member.split(".")
    for name in parents:
        inner: dict[str, Any] = at.get(name, {})
        at[name.removesuffix("[]")] = [inner] if name.endswith("[]") else inner
        at = inner
    at[last] = value
    return json.dumps(body).encode()


@pytest.mark.parametrize("member", SINCE)
def test_a_member_counts_from_the_version_that_brought_it(member: str) -> None:
    since = SINCE[member]
    sent = decode_service_spec(body_with(member, SET[member.rsplit(".", maxsplit=1)[-1]]), NEWEST)
    unset = decode_service_spec(body_with(member, None), NEWEST)
    assert sent != unset
    assert without_newer_members(sent, since) == sent
    assert without_newer_members(sent, ApiVersion(since.major, since.minor - 1)) == unset


@pytest.mark.parametrize("member", SINCE)
def test_a_member_is_one_of_the_api(member: str) -> None:
    assert any(m == member or m.startswith((f"{member}.", f"{member}[")) for m in MEMBERS)


def test_what_old_clients_know_stays() -> None:
    template = {
        "ContainerSpec": {"Image": "a", "Env": ["A=1"], "Configs": [{"File": {"Name": "f"}}]},
        "Placement": {"Constraints": ["node.role==manager"]},
        "Resources": {"Limits": {"MemoryBytes": 1 << 20}},
    }
    sent = decode_service_spec(json.dumps({"TaskTemplate": template}).encode(), OLDEST)
    assert without_newer_members(sent, OLDEST) == sent
