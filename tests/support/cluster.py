"""A cluster on a lab's hosts as its users see it: commands, the API, and containers on the engines."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from tests.support.lab import Lab
from tests.support.lab_host import ROOT, LabError, environment, in_parallel, running

LIMIT_S = 60.0
"""How long anything may take. Generous: what it took is measured, and not judged here."""

PAUSE_S = 0.1
"""Between two looks, so that looking does not take the hosts' time."""

MANAGER = 1
WORKERS = (2, 3)
HOSTS = (MANAGER, *WORKERS)

Found = TypeVar("Found")

_ASK = """
import sys, urllib.request as u
url, *body = sys.argv[1:]
request = u.Request(url, body[0].encode() if body else None, {"Content-Type": "application/json"})
print(u.urlopen(request, timeout=3).read().decode(), end="")
"""


@dataclass(frozen=True)
class Container:
    """A task's container as one engine lists it."""

    host: int
    id: str
    service: str
    task: str
    state: str  # "running", "exited", …


@dataclass(frozen=True)
class Task:
    """A task as the API gives it, reduced to what tests look at."""

    id: str
    slot: int
    node: str  # host name, "" while it has none
    desired: str
    state: str
    error: str
    container: str
    exit_code: int


def wait_for(
    what: str, look: Callable[[], Found], *, limit_s: float = LIMIT_S, pause_s: float = PAUSE_S
) -> Found:
    """Look until the answer is true, and return it.

    Nobody answering and refusals count as "not yet"; the last of them is part of the failure.

    Raises:
        AssertionError: it did not become so.
    """
    deadline = time.monotonic() + limit_s
    seen: object = None
    while True:
        try:
            found = look()
        except (OSError, LabError, http.client.HTTPException) as error:
            seen = error
        else:
            if found:
                return found
            seen = found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {limit_s:.0f} s for {what}; last seen: {seen!r}")
        time.sleep(pause_s)


class Cluster:
    """One manager, h1, and two workers.

    Attributes:
        lab: where the hosts are.
        hosts: their indexes.
        asked: the host that is asked unless another is named.
    """

    def __init__(self, lab: Lab, folder: Path, hosts: Sequence[int] = HOSTS) -> None:
        """Take a lab, whether it is up or not.

        Args:
            lab: where the hosts are.
            folder: where compose files and the docker client's settings may be written.
            hosts: indexes of the hosts.
        """
        self.lab = lab
        self.hosts = tuple(hosts)
        self.asked = MANAGER
        self._folder = folder

    # ---- the state every test begins in

    def restore(self) -> None:
        """Power, cables, engines, membership and nodes as at the beginning; no service, no container."""
        in_parallel(lambda host: self._revive(host.index), [self.lab.host(i) for i in HOSTS])
        if self.swarm_state(MANAGER)["LocalNodeState"] != "active":
            self.stack("cluster", "init", "--advertise-addr", self.address(MANAGER))
        wait_for("the manager to lead", lambda: self.api("GET", "/swarm"))
        self._remove_plain_containers()
        self.remove_services()
        for host in WORKERS:
            self._readmit(host)
        wait_for("all nodes to be ready", lambda: len(self._ready_ids()) == len(HOSTS))
        self._reset_nodes()
        wait_for("all tasks' containers to be gone", lambda: not self.containers(all_states=True))
        for host in HOSTS:
            for found in self.lab.engine(host, "GET", "/containers/json?all=1"):
                self.lab.engine(host, "DELETE", f"/containers/{found['Id']}?force=1&v=1")

    def _remove_plain_containers(self) -> None:
        """Remove containers that belong to no task, as they keep networks in use."""
        for host in HOSTS:
            for found in self.lab.engine(host, "GET", "/containers/json?all=1"):
                if "com.docker.swarm.task.id" not in found["Labels"]:
                    self.lab.engine(host, "DELETE", f"/containers/{found['Id']}?force=1&v=1")

    def _revive(self, host: int) -> None:
        self.lab.poweron(host)
        self.lab.link(host, "up")
        self.lab.start_stackd(host)
        wait_for(
            f"h{host} to know its place",
            lambda: self.swarm_state(host)["LocalNodeState"] != "pending",
        )

    def _readmit(self, host: int) -> None:
        """Make a host a worker of the manager's cluster, wherever it has been meanwhile."""
        state = self.swarm_state(host)
        known = {node["ID"] for node in self.api("GET", "/nodes")}
        if state["LocalNodeState"] == "active" and state["NodeID"] not in known:
            self.stack("cluster", "leave", "--force", host=host)
            state = self.swarm_state(host)
        if state["LocalNodeState"] == "inactive":
            self.join(host)

    def _ready_ids(self) -> list[str]:
        nodes = self.api("GET", "/nodes")
        return [node["ID"] for node in nodes if node["Status"]["State"] == "ready"]

    def _reset_nodes(self) -> None:
        ready = self._ready_ids()
        for node in self.api("GET", "/nodes"):
            if node["ID"] not in ready:
                self.api("DELETE", f"/nodes/{node['ID']}?force=1")
            elif node["Spec"].get("Labels") or node["Spec"]["Availability"] != "active":
                spec = {**node["Spec"], "Labels": {}, "Availability": "active"}
                version = node["Version"]["Index"]
                self.api("POST", f"/nodes/{node['ID']}/update?version={version}", spec)

    def remove_services(self) -> None:
        """Remove all services and the cluster's networks, secrets and configs."""
        for stack in self.api("GET", "/stacks"):  # whoever was killed may still hold one
            self.api("DELETE", f"/stacks/{stack['Name']}/lease?force=true")
        for service in self.api("GET", "/services"):
            self.api("DELETE", f"/services/{service['ID']}")
        for network in self.api("GET", "/networks"):
            if network["Scope"] == "swarm" and network["Name"] != "ingress":
                wait_for(f"network {network['Name']} to go", partial(self._without, network))
        for kind in ("secrets", "configs"):
            for one in self.api("GET", f"/{kind}"):
                self.api("DELETE", f"/{kind}/{one['ID']}")

    def _without(self, network: Mapping[str, Any]) -> bool:
        self.api("DELETE", f"/networks/{network['Id']}")
        return True

    # ---- hosts

    def address(self, host: int) -> str:
        """The host's address in the lab."""
        return self.lab.host(host).address

    def swarm_state(self, host: int) -> dict[str, Any]:
        """The part "Swarm" of a host's info: LocalNodeState, NodeID and so on."""
        swarm: dict[str, Any] = self.lab.stackd(host, "GET", "/info")["Swarm"]
        return swarm

    def token(self, role: str = "worker", host: int = MANAGER) -> str:
        """A join token of the cluster that a host manages."""
        return self.stack("cluster", "token", role, "-q", host=host).stdout.strip()

    def join(self, host: int) -> None:
        """Let a host join as a worker."""
        manager = f"{self.address(MANAGER)}:2377"
        self.stack("cluster", "join", "--token", self.token(), manager, host=host)

    def node(self, host: int) -> dict[str, Any]:
        """A host's node as the manager's API gives it."""
        nodes: list[dict[str, Any]] = self.api("GET", "/nodes")
        mine = [n for n in nodes if n["Description"].get("Hostname") == f"h{host}"]
        assert len(mine) == 1, f"h{host}: {len(mine)} nodes"
        return mine[0]

    def wait_for_node(self, host: int, state: str) -> None:
        """Wait until the manager holds a host for "ready" or "down"."""
        wait_for(f"h{host} to be {state}", lambda: self.node(host)["Status"]["State"] == state)

    def http(self, host: int, port: int, path: str = "/", body: str | None = None) -> str:
        """What a host's port answers, asked from another host; with a body it is a POST.

        Raises:
            LabError: no answer, or one that tells of an error.
        """
        asking = next(i for i in HOSTS if i != host)
        url = f"http://{self.address(host)}:{port}{path}"
        arguments = [url] if body is None else [url, body]
        return self.lab.enter(asking, "python3", "-c", _ASK, *arguments).stdout

    # ---- commands and the API

    @property
    def docker_config(self) -> str:
        """The folder in which the docker client keeps its settings and logins."""
        return str(self._folder)

    def stack(
        self,
        *arguments: str,
        host: int | None = None,
        code: int | None = 0,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `stack` against a host's stackd and check its exit code, unless that is None."""
        program = str(ROOT / ".venv/bin/stack")
        target = f"unix://{self.lab.host(host or self.asked).stackd_socket}"
        return self._run([program, "-H", target, *arguments], code, env or {})

    def docker(
        self, *arguments: str, host: int | None = None, code: int | None = 0, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run the stock `docker` against a host's stackd and check its exit code."""
        target = f"unix://{self.lab.host(host or self.asked).stackd_socket}"
        env = {"DOCKER_CONFIG": self.docker_config, "DOCKER_CLI_HINTS": "false"}
        return self._run(["docker", "-H", target, *arguments], code, env, stdin)

    def _run(
        self, command: list[str], code: int | None, env: Mapping[str, str], stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**environment(), **env},
            timeout=3 * LIMIT_S,
            check=False,
        )
        if code is not None:
            said = f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
            assert done.returncode == code, f"exit code {done.returncode}, not {code}: {said}"
        return done

    def rows(self, *arguments: str, host: int | None = None) -> list[dict[str, Any]]:
        """What a listing of `stack` prints with --format json."""
        listed: list[dict[str, Any]] = json.loads(
            self.stack(*arguments, "--format", "json", host=host).stdout
        )
        return listed

    def api(self, method: str, path: str, body: object = None, *, host: int | None = None) -> Any:
        """Call a host's stackd."""
        return self.lab.stackd(host or self.asked, method, path, body)

    def compose_file(self, content: Mapping[str, Any] | str) -> str:
        """Write a compose file and return its path; a mapping is written as JSON, which is YAML."""
        text = content if isinstance(content, str) else json.dumps(content, indent=1)
        handle, path = tempfile.mkstemp(suffix=".yml", dir=self._folder)
        with os.fdopen(handle, "w") as file:
            file.write(text)
        return path

    def deploy(
        self,
        name: str,
        services: Mapping[str, Any],
        *options: str,
        code: int | None = 0,
    ) -> subprocess.CompletedProcess[str]:
        """Run `stack deploy` with these services in a compose file.

        It does not watch them for a second when they run, unless an option says so.
        """
        file = self.compose_file({"services": services})
        here = ("--stable", "0", "--resolve-image", "never")  # the lab has no registry
        return self.stack("deploy", "-c", file, *here, *options, name, code=code)

    # ---- what there is

    def service(self, name: str) -> dict[str, Any]:
        """A service as the API gives it."""
        found: dict[str, Any] = self.api("GET", f"/services/{quote(name)}")
        return found

    def service_names(self) -> set[str]:
        """The names of all services."""
        return {service["Spec"]["Name"] for service in self.api("GET", "/services")}

    def tasks(self, service: str) -> list[Task]:
        """All tasks of a service, the ended ones too, oldest first."""
        nodes = {n["ID"]: n["Description"].get("Hostname", "") for n in self.api("GET", "/nodes")}
        filters = quote(json.dumps({"service": {service: True}}))
        listed = self.api("GET", f"/tasks?filters={filters}")
        return [
            Task(
                id=task["ID"],
                slot=task.get("Slot", 0),
                node=nodes.get(task.get("NodeID", ""), ""),
                desired=task["DesiredState"],
                state=task["Status"]["State"],
                error=task["Status"].get("Err", ""),
                container=task["Status"].get("ContainerStatus", {}).get("ContainerID", ""),
                exit_code=task["Status"].get("ContainerStatus", {}).get("ExitCode", 0),
            )
            for task in sorted(listed, key=lambda task: str(task["CreatedAt"]))
        ]

    def running_tasks(self, service: str) -> list[Task]:
        """Tasks that run and shall run, as far as the manager knows."""
        return [t for t in self.tasks(service) if t.state == t.desired == "running"]

    def containers(self, service: str = "", *, all_states: bool = False) -> list[Container]:
        """Containers of tasks on all engines that run, of one service or of all.

        Args:
            service: its name.
            all_states: also those that do not run.
        """
        label = "com.docker.swarm.service.name"
        wanted = f"{label}={service}" if service else label
        query = quote(json.dumps({"label": [wanted]}))
        return [
            Container(
                host=host,
                id=found["Id"],
                service=found["Labels"][label],
                task=found["Labels"]["com.docker.swarm.task.id"],
                state=found["State"],
            )
            for host in self.hosts
            if running(self.lab.host(host), "engine")
            for found in self.lab.engine(
                host, "GET", f"/containers/json?filters={query}&all={int(all_states)}"
            )
        ]

    def container_ids(self, service: str = "") -> set[str]:
        """IDs of the running containers of a service, or of all."""
        return {container.id for container in self.containers(service)}

    def inspect(self, container: Container) -> dict[str, Any]:
        """A container as its engine gives it."""
        found: dict[str, Any] = self.lab.engine(
            container.host, "GET", f"/containers/{container.id}/json"
        )
        return found

    def wait_running(
        self,
        service: str,
        replicas: int,
        *,
        without: Collection[str] = (),
        limit_s: float = LIMIT_S,
    ) -> list[Container]:
        """Wait until exactly so many containers run, and they are the tasks the manager knows.

        Args:
            service: its name.
            replicas: the number of containers on all engines that run.
            without: IDs of containers that must not be among them.
            limit_s: how long that may take.

        Returns:
            The containers.
        """

        found: list[Container] = []

        def exactly() -> bool:
            nonlocal found
            found = self.containers(service)
            tasks = self.running_tasks(service)
            agree = {c.task for c in found} == {t.id for t in tasks}
            fresh = not {c.id for c in found} & set(without)
            return len(found) == replicas and agree and fresh

        try:
            wait_for(f"{replicas} containers of {service}", exactly, limit_s=limit_s)
            return found
        except AssertionError as error:
            error.add_note(self.describe(service))
            raise

    def describe(self, service: str) -> str:
        """Tasks and containers of a service, for the message of a failed test."""
        lines: list[object] = []
        with contextlib.suppress(OSError, LabError):
            lines += self.tasks(service)
        with contextlib.suppress(OSError, LabError):
            lines += self.containers(service, all_states=True)
        return "\n".join(map(str, lines))

    # ---- observing over a while

    @contextlib.contextmanager
    def unchanged(self, *services: str, written: bool = False) -> Iterator[None]:
        """Check that services, tasks and containers are the same before and after.

        Those that are `written`, as with a login, may have another version.
        """
        before = self._snapshot(services, written=written)
        yield
        assert self._snapshot(services, written=written) == before

    def _snapshot(self, services: Collection[str], *, written: bool) -> object:
        versioned = () if written else services
        return (
            sorted(self.service_names()),
            {name: self.service(name)["Version"]["Index"] for name in versioned},
            {name: sorted(t.id for t in self.tasks(name)) for name in services},
            sorted(self.container_ids()),
        )


def idle(**deploy: Any) -> dict[str, Any]:
    """A compose service that does nothing until it is told to stop, restarted after a second."""
    policy = {"condition": "any", "delay": "1s"}
    return {"image": "stackyard/test:1", "deploy": {"restart_policy": policy, **deploy}}


@contextlib.contextmanager
def three_hosts(name: str, subnet: str) -> Iterator[Cluster]:
    """Bring up a lab of three hosts with the examples' images, and a cluster of them."""
    with Lab(name, subnet=subnet) as lab, tempfile.TemporaryDirectory(prefix="sy-e2e-") as folder:
        lab.down()  # what a run that was killed has left
        lab.up(len(HOSTS), stackd=True, images=("hello", "guestbook"))
        yield Cluster(lab, Path(folder))
