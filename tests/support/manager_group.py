"""A cluster of three managers and two workers on a lab's hosts, which tests hurt and heal."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support.cluster import Cluster, wait_for
from tests.support.lab import Lab
from tests.support.lab_engine import call
from tests.support.lab_host import LabError, in_parallel

MANAGERS = (1, 2, 3)
WORKERS = (4, 5)
HOSTS = (*MANAGERS, *WORKERS)
ASK_S = 8.0
"""How long one request may take: longer than a manager itself waits for a leader."""

REFUSAL_S = 30.0
"""How long a refusal may take on a busy machine: that a peer stands still shows after 5 s."""

QUICK_S = 0.02  # between two looks at something that is measured

Nobody = (OSError, LabError, http.client.HTTPException)


class ManagerGroup(Cluster):
    """Hosts h1, h2 and h3 as managers, h4 and h5 as workers."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        """Take a lab, whether it is up or not."""
        super().__init__(lab, folder, HOSTS)
        self._numbers = itertools.count(1)

    # ---- the state every test begins in

    def restore(self) -> None:
        """Everything on, connected and in its role; no service, no config, no container."""
        self.heal()
        with contextlib.suppress(AssertionError):
            wait_for("a leader", self.has_leader, limit_s=10)
        if not self.has_leader():
            self._form()
        for host in HOSTS:
            self._readmit(host)
        self._set_roles()
        self._forget_leavers()
        self.asked = self.leader()
        self.remove_services()
        for config in self.api("GET", "/configs"):
            self.api("DELETE", f"/configs/{config['ID']}")
        wait_for("five nodes to be ready", self._is_whole)
        wait_for("all containers to be gone", lambda: not self.containers(all_states=True))

    def heal(self) -> None:
        """Power, cables and programs as at the beginning; roles and state as they are."""

        def revive(host: int) -> None:
            self.lab.poweron(host)
            self.lab.link(host, "up")
            self.lab.thaw(host)
            self.lab.start_stackd(host)

        in_parallel(lambda host: revive(host.index), [self.lab.host(i) for i in HOSTS])

    def _form(self) -> None:
        for host in HOSTS:
            if self.swarm_state(host)["LocalNodeState"] != "inactive":
                self.stack("cluster", "leave", "--force", host=host)
        self.stack("cluster", "init", "--advertise-addr", self.address(1), host=1)

    def _readmit(self, host: int) -> None:
        """Make a host a member of the leader's cluster, wherever it has been meanwhile."""
        leader = self.leader()
        state = self.swarm_state(host)
        known = {node["ID"] for node in self.api("GET", "/nodes", host=leader)}
        if state["LocalNodeState"] != "inactive" and state["NodeID"] not in known:
            self.stack("cluster", "leave", "--force", host=host)
            state = self.swarm_state(host)
        if state["LocalNodeState"] == "inactive":
            self.join_as(host, "manager" if host in MANAGERS else "worker")

    def _set_roles(self) -> None:
        for host in HOSTS:
            role = "manager" if host in MANAGERS else "worker"
            if self.node_of(host)["Spec"]["Role"] != role:
                self.stack(
                    "node",
                    "promote" if role == "manager" else "demote",
                    self.node_of(host)["ID"],
                    host=self.leader(),
                )
                self.wait_role(host, role)

    def _forget_leavers(self) -> None:
        here = {self.swarm_state(host)["NodeID"] for host in HOSTS}
        for node in self.api("GET", "/nodes", host=self.leader()):
            if node["ID"] not in here:
                if node["Spec"]["Role"] == "manager":
                    self.stack("node", "demote", node["ID"], host=self.leader())
                    wait_for("its demotion", lambda n=node: self._is_no_manager(n["ID"]))
                self.api("DELETE", f"/nodes/{node['ID']}?force=1", host=self.leader())

    def _is_no_manager(self, node_id: str) -> bool:
        return "ManagerStatus" not in self.api("GET", f"/nodes/{node_id}", host=self.leader())

    def _is_whole(self) -> bool:
        nodes = self.api("GET", "/nodes", host=self.leader())
        return len(nodes) == len(HOSTS) and all(
            node["Status"]["State"] == "ready"
            and node.get("ManagerStatus", {}).get("Reachability", "reachable") == "reachable"
            for node in nodes
        )

    # ---- members

    def join_as(self, host: int, role: str, *, at: int | None = None) -> None:
        """Let a host join by the token of a role."""
        manager = at or self.leader()
        self.stack(
            *("cluster", "join", "--token", self.token(role, host=manager)),
            *("--advertise-addr", self.address(host), f"{self.address(manager)}:2377"),
            host=host,
        )

    def node_of(self, host: int, *, ask: int | None = None) -> dict[str, Any]:
        """A host's node as a manager's API gives it."""
        node_id = self.swarm_state(host)["NodeID"]
        found: dict[str, Any] = self.api("GET", f"/nodes/{node_id}", host=ask or self.leader())
        return found

    def wait_role(self, host: int, role: str) -> None:
        """Wait until a host has a role and acts on it."""

        def has() -> bool:
            is_manager = "ManagerStatus" in self.node_of(host)
            answers = bool(self.swarm_state(host)["ControlAvailable"])
            return is_manager == answers == (role == "manager")

        wait_for(f"h{host} to be a {role}", has)
        if role == "manager":
            wait_for(f"h{host} to answer", lambda: self.api("GET", "/nodes", host=host))

    # ---- leadership

    def view_of_leader(self, host: int) -> int:
        """Which host leads, as one manager says; 0 while it knows none or cannot say."""
        try:
            nodes = call(self.lab.host(host).stackd_socket, "GET", "/nodes", timeout_s=ASK_S)
        except Nobody:
            return 0
        for node in nodes:
            if node.get("ManagerStatus", {}).get("Leader"):
                address = node["ManagerStatus"]["Addr"].rpartition(":")[0]
                return next((h for h in HOSTS if self.address(h) == address), 0)
        return 0

    def has_leader(self, among: Iterable[int] = HOSTS) -> bool:
        """Whether a manager of these says that one of them leads."""
        return bool(self.find_leader(among))

    def find_leader(self, among: Iterable[int] = HOSTS) -> int:
        """The host that leads, asked of the managers among these; 0 if there is none."""
        among = sorted(among, key=lambda host: host != self.asked)  # who led most likely still does
        for host in among:
            if self.lab.host(host).stackd_socket.exists() and self._answers(host):
                leader = self.view_of_leader(host)
                if leader in among:
                    return leader
        return 0

    def _answers(self, host: int) -> bool:
        try:
            info = call(self.lab.host(host).stackd_socket, "GET", "/info", timeout_s=2)
        except Nobody:
            return False
        return bool(info["Swarm"]["ControlAvailable"])

    def leader(self, among: Sequence[int] = HOSTS) -> int:
        """The host that leads; it is waited for."""
        return wait_for("a leader", lambda: self.find_leader(among))

    def leaders(self, among: Iterable[int] = MANAGERS) -> set[int]:
        """What the managers say about who leads; 0 for those who cannot say."""
        return {self.view_of_leader(host) for host in among}

    # ---- writes that must not be lost

    def write(self, host: int, *, timeout_s: float = ASK_S) -> str:
        """Store a new config by way of a host and return its name.

        Raises:
            LabError: it was refused.
            OSError: nobody answered.
        """
        name = f"written-{next(self._numbers)}"
        body = {"Name": name, "Data": "eA=="}
        socket = self.lab.host(host).stackd_socket
        call(socket, "POST", "/configs/create", body, timeout_s=timeout_s)
        return name

    def written(self, host: int) -> set[str]:
        """The names of all configs, as one manager says."""
        listed = self.api("GET", "/configs", host=host)
        return {config["Spec"]["Name"] for config in listed}

    def first_write(self, among: Sequence[int], limit_s: float = 60.0) -> tuple[str, float]:
        """Write by way of the hosts in turn until one takes it; its name and how long it took."""
        began = time.monotonic()
        for host in itertools.cycle(among):
            try:
                name = self.write(host)
            except Nobody as error:
                if time.monotonic() - began > limit_s:
                    raise AssertionError(f"no write in {limit_s} s") from error
                time.sleep(QUICK_S)
            else:
                return name, time.monotonic() - began
        raise AssertionError

    # ---- faults

    def hurt(self, host: int, how: str) -> None:
        """Kill a host's stackd ("kill"), let it stand still ("freeze") or cut its cable ("cut")."""
        if how == "kill":
            self.lab.kill_stackd(host)
        elif how == "freeze":
            self.lab.freeze(host)
        else:
            assert how == "cut", how
            self.lab.link(host, "down")

    def answer(self, host: int, method: str, path: str, body: object = None) -> tuple[int, str]:
        """What a host's API says, status and text, errors too."""
        connection_error = ""
        try:
            said = call(self.lab.host(host).stackd_socket, method, path, body, timeout_s=REFUSAL_S)
        except LabError as error:
            _, _, rest = str(error).partition(f"{path}: ")
            status, _, text = rest.partition(" ")
            return int(status), text
        except OSError as error:
            connection_error = str(error)
        else:
            return 200, json.dumps(said) if not isinstance(said, bytes) else os.fsdecode(said)
        return 0, connection_error


@contextlib.contextmanager
def healed(group: ManagerGroup) -> Iterator[None]:
    """Undo faults at the end, also of a test that fails."""
    try:
        yield
    finally:
        group.heal()
