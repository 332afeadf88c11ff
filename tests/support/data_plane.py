"""Hosts with network processes and containers that answer who they are, without any manager.

Tests write the views that a manager would send.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from cluster.model.ids import NetworkId, NodeId, ServiceId, TaskId
from cluster.model.network_view import (
    ADDRESS_OPTION,
    DRIVER_NAME,
    GATEWAY_OPTION,
    NETWORK_OPTION,
    IngressView,
    NetworkView,
    NodeView,
    PeerNode,
    PublishedPort,
    ServiceEndpoint,
    TaskEndpoint,
)
from tests.support.client_host import ClientHost
from tests.support.lab import Lab
from tests.support.lab_host import ROOT, LabError, run

IMAGE = "stackyard/test:1"
PROBE = str(ROOT / "tests/support/network_probe.py")
PYTHON = str(ROOT / ".venv/bin/python")
PORT = 8000
INGRESS = NetworkId("ingress0net")
INGRESS_GATEWAY = "10.255.255.254"


@dataclass
class Container:
    """A running container with a server in it."""

    host: int
    name: str
    id: str
    pid: int
    addresses: dict[str, str]
    server: subprocess.Popen[str] | None = None


@dataclass
class Net:
    """A network as tests describe it."""

    id: str
    name: str
    vni: int
    prefix: str  # first three bytes of a /24
    is_internal: bool = False
    mtu: int = 0
    services: list[ServiceEndpoint] = field(default_factory=list)
    tasks: dict[str, TaskEndpoint] = field(default_factory=dict)

    def view(self) -> NetworkView:
        return NetworkView(
            id=NetworkId(self.id),
            name=self.name,
            vni=self.vni,
            subnet=f"{self.prefix}.0/24",
            gateway=self.gateway,
            mtu=self.mtu,
            is_internal=self.is_internal,
            services=tuple(self.services),
            tasks=tuple(self.tasks.values()),
        )

    @property
    def gateway(self) -> str:
        return INGRESS_GATEWAY if self.id == INGRESS else f"{self.prefix}.1"


class DataPlane:
    """A lab of hosts, all of them nodes, and a client beside them."""

    def __init__(self, lab: Lab, count: int) -> None:
        self.lab = lab
        self.count = count
        self.nets: dict[str, Net] = {}
        self.ports: list[PublishedPort] = []
        self.containers: dict[str, Container] = {}
        self.client = ClientHost(lab)
        self._revision = 0

    # ---- what there is

    def add_network(self, net: Net) -> Net:
        self.nets[net.id] = net
        return net

    def view(self, host: int) -> NodeView:
        ingress = self.nets.get(INGRESS)
        return NodeView(
            own_index=host,
            own_address=self.lab.host(host).address,
            nodes=tuple(
                PeerNode(index=i, address=self.lab.host(i).address, node_id=NodeId(f"node{i}"))
                for i in range(1, self.count + 1)
            ),
            networks=tuple(n.view() for n in self.nets.values() if n.id != INGRESS),
            ingress=ingress
            and IngressView(
                network=ingress.view(),
                own_address=f"10.255.0.{host}",
                node_addresses={i: f"10.255.0.{i}" for i in range(1, self.count + 1)},
                ports=tuple(self.ports),
            ),
            revision=self._revision,
        )

    def send(self, *hosts: int) -> None:
        """Give hosts (all of them when none is named) their present view."""
        self._revision += 1
        for host in hosts or range(1, self.count + 1):
            answer = self.lab.netd(host, "PUT", "/view", msgspec.to_builtins(self.view(host)))
            assert answer == {"revision": self._revision, "problems": {}}, answer

    def set_state(self, name: str, state: Any) -> None:
        """Set a task's state in all networks it is in; "" takes it out of the view."""
        for net in self.nets.values():
            if name in net.tasks:
                if state:
                    net.tasks[name] = msgspec.structs.replace(net.tasks[name], state=state)
                else:
                    del net.tasks[name]

    @contextlib.contextmanager
    def states(self, state: Any, *names: str, hosts: tuple[int, ...] = ()) -> Iterator[None]:
        """Have tasks in a state as long as the context lasts, and serving again afterwards."""
        for name in names:
            self.set_state(name, state)
        self.send(*hosts)
        try:
            yield
        finally:
            for name in names:
                self.set_state(name, "serving")
            self.send(*hosts)

    # ---- containers

    def run(
        self, host: int, name: str, where: dict[str, str], *, service: str = "", **host_config: Any
    ) -> Container:
        """Start a container with a server in it; `where` gives an address for each network."""
        for net_id, address in where.items():
            self.nets[net_id].tasks[name] = TaskEndpoint(
                task_id=TaskId(f"task-{name}"),
                name=name,
                address=address,
                node_index=host,
                service_id=ServiceId(service),
                state="serving",
            )
        self.send()
        first, *others = where
        for net_id in where:
            self._engine_network(host, self.nets[net_id])
        plain = [n for n in where if n != INGRESS]
        config = {
            "Dns": [self.nets[plain[0]].gateway] if plain else [],
            "NetworkMode": self._engine_name(self.nets[first]),
            **host_config,
        }
        body = {
            "Image": IMAGE,
            "Cmd": ["sleep", "100000"],
            "HostConfig": config,
            "NetworkingConfig": {"EndpointsConfig": self._endpoint(first, where[first])},
            "ExposedPorts": {p: {} for p in host_config.get("PortBindings", {})},
        }
        made = self.lab.engine(host, "POST", f"/containers/create?name={name}", body)
        for net_id in others:
            path = f"/networks/{self._engine_name(self.nets[net_id])}/connect"
            settings = next(iter(self._endpoint(net_id, where[net_id]).values()))
            self.lab.engine(
                host, "POST", path, {"Container": made["Id"], "EndpointConfig": settings}
            )
        self.lab.engine(host, "POST", f"/containers/{made['Id']}/start")
        pid = self.lab.engine(host, "GET", f"/containers/{made['Id']}/json")["State"]["Pid"]
        container = Container(host, name, made["Id"], pid, dict(where))
        self.containers[name] = container
        container.server = self.start_in(name, "serve", name, str(PORT))
        assert container.server.stdout
        assert container.server.stdout.readline() == "ready\n"
        return container

    def stop(self, name: str) -> None:
        """Remove a container, from the views too."""
        container = self.containers.pop(name)
        self.set_state(name, "")
        self.lab.engine(container.host, "DELETE", f"/containers/{container.id}?force=1")
        server = container.server
        assert server
        assert server.stdin
        assert server.stdout
        server.stdin.close()
        server.wait(20)
        server.stdout.close()

    def _engine_name(self, net: Net) -> str:
        return f"sy-{net.id}"

    def _endpoint(self, net_id: str, address: str) -> dict[str, Any]:
        net = self.nets[net_id]
        length = 16 if net_id == INGRESS else 24
        options = {ADDRESS_OPTION: f"{address}/{length}"}
        if net_id == INGRESS:
            options[GATEWAY_OPTION] = "1"
        return {self._engine_name(net): {"DriverOpts": options}}

    def _engine_network(self, host: int, net: Net) -> None:
        with contextlib.suppress(LabError):
            self.lab.engine(host, "GET", f"/networks/{self._engine_name(net)}")
            return
        body = {
            "Name": self._engine_name(net),
            "Driver": DRIVER_NAME,
            "IPAM": {"Driver": "null"},
            "Internal": net.is_internal,
            "Options": {NETWORK_OPTION: net.id},
        }
        self.lab.engine(host, "POST", "/networks/create", body)

    # ---- doing something somewhere

    def argv_in(self, place: str, *command: str) -> list[str]:
        """The command line that runs something in a container, a host ("h1") or the client."""
        if place == "client":
            return self.client.argv(*command)
        if place in self.containers:
            container = self.containers[place]
            enter = ["nsenter", "-t", str(container.pid), "-n", "--", *command]
            return self.lab.argv_in(container.host, *enter)
        return self.lab.argv_in(place, *command)

    def inside(self, place: str, *command: str) -> subprocess.CompletedProcess[str]:
        return run(*self.argv_in(place, *command), check=False, timeout_s=60)

    def connections(self, place: str, port: int) -> list[str]:
        """What the kernel remembers of connections to a port, in a host or a namespace of it.

        Args:
            place: "h1" or "h1/stknet-frontnet".
            port: the called one.

        Returns:
            Lines of the called port and address, who answers, and the state's number.
        """
        host, _, space = place.partition("/")
        inside = ("nsenter", f"--net=/run/netns/{space}", "--") if space else ()
        listing = (
            "from cluster.network.conntrack import Conntrack\n"
            "for one in Conntrack().connections():\n"
            "    print(one.called_port, one.called, one.answering, one.state)\n"
        )
        done = self.inside(host, "env", f"PYTHONPATH={ROOT}", *inside, PYTHON, "-c", listing)
        assert not done.returncode, done.stderr
        return [line for line in done.stdout.splitlines() if line.startswith(f"{port} ")]

    def start_in(self, place: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a probe that goes on; see network_probe."""
        return subprocess.Popen(
            self.argv_in(place, PYTHON, PROBE, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(
        self, place: str, kind: str, address: str, port: int = PORT, count: int = 1
    ) -> list[str]:
        """Who answers, and whom they saw: "name address" for each try."""
        arguments = ("ask", kind, address, str(port), str(count))
        done = self.inside(place, PYTHON, PROBE, *arguments)
        assert not done.returncode, done.stderr
        return done.stdout.splitlines()

    def answering(self, *arguments: Any, **more: Any) -> Counter[str]:
        """How often who answered."""
        return Counter(line.split()[0] for line in self.ask(*arguments, **more))

    def dns(self, place: str, name: str, kind: str = "A", *more: str, server: str = "") -> str:
        """The return code and the answers for a name, as asked by a container."""
        done = self.inside(place, PYTHON, PROBE, "dns", server or "127.0.0.11", name, kind, *more)
        assert not done.returncode, done.stderr
        return done.stdout.strip()

    @contextlib.contextmanager
    def holding(self, place: str, address: str, port: int = PORT) -> Iterator[Held]:
        """Keep a TCP connection as long as the context lasts."""
        process = self.start_in(place, "hold", address, str(port))
        try:
            yield Held(process)
        finally:
            assert process.stdin
            assert process.stdout
            process.stdin.close()
            process.wait(20)
            process.stdout.close()


class Held:
    """A connection that is kept."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.peer = self._line()

    def say(self, text: str) -> str:
        """Send a line; what comes back."""
        assert self._process.stdin
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


@contextlib.contextmanager
def data_plane(
    name: str, subnet: str, count: int, state: Path | None = None
) -> Iterator[DataPlane]:
    """Bring up hosts and a client; take everything down at the end."""
    with Lab(name, subnet=subnet, state=state) as lab:
        lab.down()
        lab.up(count)
        plane = DataPlane(lab, count)
        with plane.client.plugged_in():
            try:
                yield plane
            finally:
                for container in list(plane.containers):
                    with contextlib.suppress(LabError, OSError):
                        plane.stop(container)


def eventually(holds: Callable[[], object], what: str, limit_s: float = 30) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.1)
