"""The stock docker command's cluster commands against our server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cluster.model.endpoint import PortConfig
from cluster.model.ids import TaskId
from cluster.model.meta import Meta
from cluster.model.node import NodeStatus
from cluster.model.service import Service
from cluster.model.task import ContainerStatus, Task, TaskStatus
from cluster.model.task_state import TaskState
from tests.compat.conftest import IMAGE, DockerCli
from tests.compat.memory_node import MANAGER_ID, WORKER_ID, MemoryNode, node
from tests.support.identities import root_ca
from tests.support.memory_store import MemoryStore

pytestmark = pytest.mark.integration

QUIET = ("--detach", "--no-resolve-image")
STACK = """\
services:
  web:
    image: busybox:latest
    command: [sleep, "1000"]
    ports:
      - {target: 80, published: 8080, mode: host}
    deploy: {replicas: 2}
  agent:
    image: busybox:latest
    command: [sleep, "1000"]
    deploy: {mode: global}
"""


def _store(local_node: MemoryNode) -> MemoryStore:
    assert local_node.memory is not None
    return local_node.memory


def _run_tasks(store: MemoryStore, service: Service, count: int) -> None:
    """Do what orchestrator, scheduler and agents would do."""
    for slot in range(1, count + 1):
        store.put(
            Task(
                id=TaskId(f"task{slot}".ljust(25, "0")),
                meta=Meta(),
                service_id=service.id,
                service_name=service.spec.name,
                service_labels=service.spec.labels,
                slot=slot,
                node_id=MANAGER_ID,
                spec=service.spec.task_template,
                spec_version=service.spec_version,
                endpoint_spec=service.spec.endpoint_spec,
                status=TaskStatus(
                    state=TaskState.RUNNING,
                    timestamp=store.clock.now(),
                    message="started",
                    container=ContainerStatus(container_id="f" * 64, pid=1),
                    ports=(
                        PortConfig(
                            protocol="tcp",
                            target_port=80,
                            published_port=8080,
                            publish_mode="host",
                        ),
                    ),
                ),
            )
        )


async def test_without_a_cluster_commands_say_so(docker: DockerCli) -> None:
    for command in (("node", "ls"), ("service", "ls"), ("stack", "ls"), ("secret", "ls")):
        assert "This node is not a swarm manager. Use" in await docker(*command, rc=1)
    assert "This node is not part of a swarm" in await docker("swarm", "leave", rc=1)
    assert "not a swarm manager" in await docker("network", "create", "-d", "overlay", "x", rc=1)


async def test_a_worker_says_that_it_is_one(docker: DockerCli, local_node: MemoryNode) -> None:
    local_node.become_worker()
    assert "Worker nodes can't be used to view" in await docker("node", "ls", rc=1)
    error = await docker("network", "create", "-d", "overlay", "x", rc=1)
    assert "Cannot create a multi-host network from a worker node" in error


async def test_init_prints_how_to_join_and_is_refused_twice(docker: DockerCli) -> None:
    out = await docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    assert "docker swarm join --token SWMTKN-1-" in out
    assert "already part of a swarm" in await docker("swarm", "init", rc=1)
    join = ("swarm", "join", "--token", "SWMTKN-1-x-y", "127.0.0.1:2377")
    assert "already part of a swarm" in await docker(*join, rc=1)
    assert "last manager" in await docker("swarm", "leave", rc=1)
    await docker("swarm", "leave", "--force")
    assert "invalid join token" in await docker(*join, rc=1)


async def test_tokens_are_replaced(swarm: DockerCli) -> None:
    old = await swarm("swarm", "join-token", "-q", "worker")
    manager = await swarm("swarm", "join-token", "-q", "manager")
    new = await swarm("swarm", "join-token", "-q", "--rotate", "worker")
    assert old != new
    assert old.rpartition("-")[0] == new.rpartition("-")[0]
    assert await swarm("swarm", "join-token", "-q", "manager") == manager


async def test_settings_are_changed(swarm: DockerCli, local_node: MemoryNode) -> None:
    await swarm("swarm", "update", "--task-history-limit", "2", "--dispatcher-heartbeat", "3s")
    cluster = _store(local_node).view().cluster
    assert cluster is not None
    assert cluster.task_history_limit == 2
    assert cluster.heartbeat_period_ns == 3_000_000_000
    error = await swarm("swarm", "update", "--cert-expiry", "1m", rc=1)
    assert "minimum certificate expiry time is: 1h0m0s" in error
    assert "no unlock key is set" in await swarm("swarm", "unlock-key", rc=1)
    assert "swarm is not locked" in await swarm("swarm", "unlock", rc=1)


async def test_managers_are_made_to_lock_themselves(swarm: DockerCli) -> None:
    out = await swarm("swarm", "update", "--autolock")
    key = next(word for word in out.split() if word.startswith("SWMKEY-1-"))
    assert (await swarm("swarm", "unlock-key", "-q")).strip() == key
    fresh = (await swarm("swarm", "unlock-key", "-q", "--rotate")).strip()
    assert fresh.startswith("SWMKEY-1-")
    assert fresh != key
    await swarm("swarm", "update", "--task-history-limit", "3")
    assert (await swarm("swarm", "unlock-key", "-q")).strip() == fresh
    await swarm("swarm", "update", "--autolock=false")
    assert "no unlock key is set" in await swarm("swarm", "unlock-key", rc=1)


async def test_the_root_is_replaced(swarm: DockerCli, tmp_path: Path) -> None:
    before = await swarm("swarm", "ca")
    await swarm("swarm", "ca", "--rotate", "--detach")
    assert await swarm("swarm", "ca") == before  # trusted until all nodes have followed
    listed = await swarm("node", "ls", "--format", "{{.TLSStatus}}")
    assert listed.split("\n")[0] == "Needs Rotation"
    external = ("--external-ca", "protocol=cfssl,url=https://ca.example")
    said = await swarm("swarm", "update", *external, rc=1)
    assert "a CA outside of the cluster is not supported" in said
    root = root_ca("of the user's own")
    (tmp_path / "ca.pem").write_text(root.cert_pem)
    (tmp_path / "ca.key").write_text(root.key_pem)
    own = ("--ca-cert", str(tmp_path / "ca.pem"), "--ca-key", str(tmp_path / "ca.key"))
    await swarm("swarm", "ca", "--rotate", "--detach", "--cert-expiry", "48h", *own)
    shown = json.loads(await swarm("info", "--format", "{{json .Swarm.Cluster}}"))
    assert shown["RootRotationInProgress"] is True
    assert shown["Spec"]["CAConfig"]["NodeCertExpiry"] == 48 * 3600 * 10**9
    assert "PRIVATE" not in str(shown)


async def test_nodes(swarm: DockerCli, local_node: MemoryNode) -> None:
    store = _store(local_node)
    store.put(node(WORKER_ID, "two"))
    out = await swarm("node", "ls")
    assert f"{MANAGER_ID} *   one        Ready     Active         Leader" in out
    assert f"{WORKER_ID}     two        Ready     Active" in out
    await swarm("node", "update", "--availability", "drain", "--label-add", "zone=a", "two")
    pretty = await swarm("node", "inspect", "--pretty", "two")
    assert "zone=a" in pretty
    assert "Drain" in pretty
    assert (await swarm("node", "ls", "-q", "--filter", "node.label=zone=a")).split() == [WORKER_ID]
    assert "demote the last manager" in await swarm("node", "demote", "one", rc=1)
    assert "promoted to a manager" in await swarm("node", "promote", "two")
    assert "demoted" in await swarm("node", "demote", "two")
    assert "is a cluster manager" in await swarm("node", "rm", "one", rc=1)
    assert "is not down" in await swarm("node", "rm", "two", rc=1)
    two = store.view().nodes.get(WORKER_ID)
    assert two is not None
    store.put(msgspec.structs.replace(two, status=NodeStatus(state="down")))
    assert "Down" in await swarm("node", "ls")
    await swarm("node", "rm", "two")
    assert "node two not found" in await swarm("node", "inspect", "two", rc=1)


async def test_a_services_life(swarm: DockerCli, local_node: MemoryNode) -> None:
    store = _store(local_node)
    created = await swarm(
        "service", "create", *QUIET, "--name", "web", "--replicas", "2", "--env", "A=1",
        "--publish", "mode=host,target=80,published=8080", "--constraint", "node.role==manager",
        "--label", "tier=front", IMAGE, "sleep", "1000",
    )  # fmt: skip
    service = store.view().service_by_name("web")
    assert service is not None
    assert created.strip() == service.id
    assert "0/2" in await swarm("service", "ls")
    _run_tasks(store, service, 2)
    out = await swarm("service", "ls")
    assert "replicated" in out
    assert "2/2" in out
    out = await swarm("service", "ps", "web")
    assert "web.1" in out
    assert "*:8080->80/tcp" in out
    assert "Running" in out
    assert "web.2" in await swarm("node", "ps")
    pretty = await swarm("service", "inspect", "--pretty", "web")
    assert "node.role==manager" in pretty
    assert "PublishedPort = 8080" in pretty
    assert "sleep 1000" in pretty
    await swarm("service", "scale", "--detach", "web=5")
    assert "2/5" in await swarm("service", "ls")
    await swarm("service", "update", "--detach", "--no-resolve-image", "--env-add", "B=2", "web")
    changed = store.view().service_by_name("web")
    assert changed is not None
    assert changed.previous_spec is not None
    assert changed.spec_version > service.spec_version
    await swarm("service", "rollback", "--detach", "web")
    back = store.view().service_by_name("web")
    assert back is not None
    assert back.spec == changed.previous_spec
    assert json.loads(await swarm("inspect", "web"))[0]["ID"] == service.id
    await swarm("service", "rm", "web")
    assert "web" not in await swarm("service", "ls")
    assert {t.desired_state for t in store.view().tasks} == {TaskState.REMOVE}
    assert "no such service: web" in await swarm("service", "ps", "web", rc=1)
    assert "service web not found" in await swarm("service", "rm", "web", rc=1)


async def test_progress_is_shown_until_all_tasks_run(
    swarm: DockerCli, local_node: MemoryNode
) -> None:
    store = _store(local_node)
    create = ("service", "create", *QUIET, "--name", "web", IMAGE, "sleep", "9")
    await swarm(*create)
    service = store.view().service_by_name("web")
    assert service is not None
    _run_tasks(store, service, 1)
    code, out, err = await swarm.run(
        "service", "update", "--no-resolve-image", "--update-monitor", "1s", "web"
    )
    assert code == 0, err
    assert "verify: Service web converged" in out


async def test_bad_services_are_refused_by_name(swarm: DockerCli, local_node: MemoryNode) -> None:
    async def refused(*options: str) -> str:
        return await swarm("service", "create", *QUIET, *options, IMAGE, rc=1)

    assert "valid as a DNS name component" in await refused("--name", "bad name!")
    assert "Constraints[0]" in await refused("--constraint", "noderole")
    assert "network nosuch not found" in await refused("--network", "nosuch")
    assert "4MiB" in await refused("--limit-memory", "1k")
    mesh = "mode=ingress,target=80,published=80,protocol={}"
    assert "sctp ports cannot be published" in await refused("--publish", mesh.format("sctp"))
    port = "mode=host,target={},published=80"
    twice = await refused("--publish", port.format(80), "--publish", port.format(81))
    assert "duplicate published ports" in twice
    bad_image = await swarm("service", "create", *QUIET, "Bad/Image", rc=1)
    assert "not a valid repository/tag" in bad_image or "invalid reference" in bad_image
    await swarm("service", "create", *QUIET, "--name", "one", IMAGE)
    taken = await swarm("service", "create", *QUIET, "--name", "one", IMAGE, rc=1)
    assert "name conflicts with an existing object" in taken
    assert len(_store(local_node).view().services) == 1
    assert "invalid filter 'foo'" in await swarm("service", "ls", "--filter", "foo=bar", rc=1)


async def test_unnamed_services_get_a_name(swarm: DockerCli, local_node: MemoryNode) -> None:
    await swarm("service", "create", *QUIET, IMAGE)
    (service,) = _store(local_node).view().services
    assert "_" in service.spec.name


async def test_cluster_networks_stand_beside_local_ones(
    swarm: DockerCli, local_node: MemoryNode
) -> None:
    created = await swarm(
        "network", "create", "-d", "overlay", "--subnet", "10.9.0.0/24", "--label", "a=b", "front"
    )
    out = await swarm("network", "ls")
    assert created.strip()[:12] in out
    assert "bridge" in out
    assert "front" in await swarm("network", "ls", "--filter", "driver=overlay")
    assert "front" not in await swarm("network", "ls", "--filter", "scope=local")
    (shown,) = json.loads(await swarm("network", "inspect", "front"))
    assert shown["IPAM"]["Config"] == [{"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1"}]
    again = await swarm("network", "create", "-d", "overlay", "front", rc=1)
    assert "already exists" in again
    assert "already exists" in await swarm("network", "create", "front", rc=1)
    assert "already exists" in await swarm("network", "create", "-d", "overlay", "bridge", rc=1)
    code, _, err = await swarm.run(
        "service", "create", *QUIET, "--name", "web", "--network", "front", IMAGE
    )
    assert code == 0, err
    assert "not joined" not in err
    service = _store(local_node).view().service_by_name("web")
    assert service is not None
    assert service.spec.task_template.networks[0].target == created.strip()
    assert "is in use by service" in await swarm("network", "rm", "front", rc=1)
    await swarm("network", "create", "-d", "overlay", "unused")
    assert (await swarm("network", "prune", "-f")).split()[-1] == "unused"
    await swarm("service", "rm", "web")
    await swarm("network", "rm", "front")
    assert "network front not found" in await swarm("network", "rm", "front", rc=1)


async def test_a_service_may_use_the_nodes_own_network(
    swarm: DockerCli, local_node: MemoryNode
) -> None:
    await swarm("service", "create", *QUIET, "--name", "web", "--network", "host", IMAGE)
    service = _store(local_node).view().service_by_name("web")
    assert service is not None
    assert service.spec.task_template.networks[0].target == "host"


async def test_a_stack_of_the_stock_client(
    swarm: DockerCli, local_node: MemoryNode, tmp_path: Path
) -> None:
    store = _store(local_node)
    file = tmp_path / "docker-compose.yml"
    file.write_text(STACK)
    deploy = ("stack", "deploy", "--detach=true", "--resolve-image=never", "-c", str(file), "st")
    out = await swarm(*deploy)
    assert "Creating network st_default" in out
    assert "Creating service st_web" in out
    web = store.view().service_by_name("st_web")
    assert web is not None
    _run_tasks(store, web, 2)
    assert "st        2" in await swarm("stack", "ls")
    assert "2/2" in await swarm("stack", "services", "st")
    out = await swarm("stack", "ps", "st")
    assert "st_web.1" in out
    assert "*:8080->80/tcp" in out
    await swarm(*deploy)
    again = store.view().service_by_name("st_web")
    assert again is not None
    assert msgspec.structs.replace(again, meta=web.meta) == web, "an equal file changes nothing"
    out = await swarm("stack", "rm", "st")
    assert "Removing network st_default" in out
    assert not len(store.view().services)
    assert [one.spec.name for one in store.view().networks] == ["ingress"]


@pytest.mark.parametrize("kind", ["secret", "config"])
async def test_secrets_and_configs_live_and_die(swarm: DockerCli, kind: str) -> None:
    made = await swarm(kind, "create", "--label", "k=v", "x", "-", stdin=b"canary")
    assert (await swarm(kind, "ls", "-q", "--filter", "label=k=v")) == made
    error = await swarm(kind, "create", "x", "-", stdin=b"data", rc=1)
    assert f"{kind} x already exists" in error
    shown = json.loads(await swarm(kind, "inspect", "x"))[0]
    assert shown["Spec"]["Name"] == "x"
    assert ("Data" in shown["Spec"]) is (kind == "config")
    assert x_data(shown) == ("Y2FuYXJ5" if kind == "config" else "")
    use = (f"--{kind}", "source=x,target=/a,uid=7,mode=0400")
    await swarm("service", "create", *QUIET, "--name", "web", *use, IMAGE)
    service = json.loads(await swarm("service", "inspect", "web"))[0]
    container = service["Spec"]["TaskTemplate"]["ContainerSpec"]
    assert container[f"{kind.title()}s"][0]["File"] == {
        "Name": "/a",
        "UID": "7",
        "GID": "0",
        "Mode": 0o400,
    }
    in_use = f"{kind} 'x' is in use by the following service: web"
    assert in_use in await swarm(kind, "rm", "x", rc=1)
    await swarm("service", "rm", "web")
    await swarm(kind, "rm", "x")
    assert f"{kind} x not found" in await swarm(kind, "rm", "x", rc=1)


def x_data(shown: dict[str, Any]) -> str:
    return str(shown["Spec"].get("Data", ""))


async def test_info_shows_the_cluster(swarm: DockerCli) -> None:
    info = json.loads(await swarm("info", "--format", "{{json .Swarm}}"))
    assert info["LocalNodeState"] == "active"
    assert info["ControlAvailable"] is True
    assert (info["Nodes"], info["Managers"]) == (1, 1)
    assert "JoinTokens" not in info["Cluster"]
    assert "Is Manager: true" in await swarm("info")
