"""With --strict, everything that a deployment would leave out of a file is an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.cli.main import run
from stack.compose.keys import ROOT, Key, Status

SERVICE = "services: {{web: {{image: i, {}}}, other: {{image: o}}}}\nnetworks: {{front: }}"
IN_NETWORK = {
    "link_local_ips": "[169.254.1.1]", "ipv6_address": "'fd00::1'",
    "mac_address": "'02:42:ac:11:00:02'", "interface_name": "eth7", "priority": "1", "gw_priority": "1",
}  # fmt: skip
KEYS = {
    "services.*.build": "build: .",
    "services.*.pull_refresh_after": "pull_refresh_after: 1h",
    "services.*.post_start": "post_start: [{command: a}]",
    "services.*.pre_stop": "pre_stop: [{command: a}]",
    "services.*.ports[].app_protocol": "ports: [{target: 1, mode: host, app_protocol: h}]",
    **{
        f"services.*.networks.*.{name}": f"networks: {{front: {{{name}: {value}}}}}"
        for name, value in IN_NETWORK.items()
    },
}
"""For each key that is not applied, a service that has it."""

VALUES = {
    "a variable that is not set": "user: '${NOBODY}'",
    "an operator of a shell": "command: a && b",
    "an empty command": "command: []",
    "a variable without a value": "environment: [NOTHING]",
    "a restart that the policy hides": "restart: always, deploy: {restart_policy: {condition: any}}",
    "a condition by another name": "deploy: {restart_policy: {condition: always}}",
    "a policy for pulling": "pull_policy: every_12h",
    "a name for several containers": "container_name: cc, deploy: {mode: global}",
    "an address for several tasks": "networks: {front: {ipv4_address: 10.1.1.1}}, deploy: {replicas: 2}",
    "an address for the old task and the new one": "networks: {front: {ipv4_address: 10.1.1.1}}, deploy: {update_config: {order: start-first}}",
    "a variant of an architecture": "platform: linux/arm/v7",
    "a label for SELinux": "volumes: ['/x:/x:z']",
}
"""Values that are not applied as they stand, though their keys are."""


def not_applied(row: Key, path: str) -> Iterator[str]:
    if row.status in (Status.IGNORED, Status.STORED):
        yield path
    elif row.status is Status.APPLIED:
        for name, child in (row.children or {}).items():
            yield from not_applied(child, f"{path}.{name}".lstrip("."))
        if row.each is not None:
            yield from not_applied(row.each, f"{path}.*")
        if row.items is not None:
            yield from not_applied(row.items, f"{path}[]")


def test_every_key_that_is_not_applied_is_among_them() -> None:
    assert set(not_applied(ROOT, "")) == set(KEYS)


@pytest.mark.parametrize("service", [*KEYS.values(), *VALUES.values()], ids=[*KEYS, *VALUES])
@pytest.mark.parametrize("command", ["config", "deploy"])
def test_it_is_refused(
    command: str, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("compose.yml").write_text(SERVICE.format(service))
    assert run(["-H", "unix:///nobody", command, "--strict"]) == 2
    said = capsys.readouterr().err
    assert "error: " in said
    assert said.endswith("nothing is done, because of --strict\n")
    assert run(["config"]) == 0


def test_what_is_applied_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("compose.yml").write_text("version: '3'\n" + SERVICE.format("networks: [front], expose: [80]"))  # fmt: skip
    assert run(["config", "--strict", "-q"]) == 0
    assert capsys.readouterr().err == "warning: compose.yml:1: version: is no longer needed and ignored\n"  # fmt: skip
