"""Services that are scaled, updated, killed and cut off, and whether names keep up with them.

After each step the cluster is whole again; then it is measured how long it takes until, on every
host, every name leads to exactly the tasks that run. Steps come from a seed; how they meet is up
to the machine.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.support.cluster import HOSTS, MANAGER, WORKERS, Cluster, idle, wait_for
from tests.support.lab_host import LabError

SERVICES = ("red", "green", "blue")
CLIENT = "client"
ENDED = {"complete", "shutdown", "failed", "rejected", "remove", "orphaned"}
MOST_REPLICAS = 5
LOOK_S = 0.02
PROMPT_S = 3.0
SETTLE_LIMIT_S = 120.0
KINDS = (
    "scale",
    "scale",
    "scale",
    "update",
    "kill task",
    "kill netd",
    "kill stackd",
    "power",
    "cut",
)
"""What may happen; some of it more often."""

RESOLVER = """
import json, socket, sys
for line in sys.stdin:
    found = {}
    for name in line.split():
        try:
            found[name] = sorted(socket.gethostbyname_ex(name)[2])
        except OSError:
            found[name] = []
    print(json.dumps(found), flush=True)
"""

LOAD = """
import os, socket, sys, threading
good = bad = 0
def stop():
    sys.stdin.read()
    print(good, bad, flush=True)
    os._exit(0)
threading.Thread(target=stop).start()
while True:
    for name in sys.argv[1:]:
        try:
            with socket.create_connection((name, 8080), timeout=5) as s:
                s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
                answer = b""
                while piece := s.recv(4096):
                    answer += piece
            good, bad = good + (b"Hello" in answer), bad + (b"Hello" not in answer)
        except OSError:
            bad += 1
"""


@dataclass(frozen=True)
class Step:
    """One thing that happened, and how long names took afterwards.

    `lag_s` is counted from the moment at which the manager itself knew only of tasks as wanted, and
    `healed_s` from the moment at which all hosts and cables were whole.
    """

    what: str
    healed_s: float
    lag_s: float


@dataclass
class Churn:
    """A stack that is never left alone."""

    cluster: Cluster
    seed: int
    shortest_cut_s: float = 10.0
    longest_cut_s: float = 30.0
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with two tasks of each service."""
        self._rng = random.Random(f"churn {self.seed}")
        self._wanted = dict.fromkeys(SERVICES, 2)
        self._clients: dict[int, Client] = {}

    def __enter__(self) -> Churn:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def deploy(self) -> None:
        """Start the services, and on every host a client that looks names up."""
        web = {"image": "stackyard/hello:1", "stop_grace_period": "2s"}
        policy = {"condition": "any", "delay": "0s"}
        deploy = {
            "replicas": 2,
            "restart_policy": policy,
            "update_config": {"order": "start-first"},
        }
        services = {name: {**web, "deploy": deploy} for name in SERVICES}
        self.cluster.deploy("churn", {**services, CLIENT: idle(mode="global")})

    def run(self, count: int) -> None:
        """Carry out so many steps."""
        for _ in range(count):
            what, is_whole_s = self._happen()
            settled_s = self._settle()
            self._until_names_are_right()
            now_s = time.monotonic()
            self.steps.append(Step(what, healed_s=now_s - is_whole_s, lag_s=now_s - settled_s))

    # ---- what happens

    def _happen(self) -> tuple[str, float]:
        lab, rng = self.cluster.lab, self._rng
        kind = rng.choice(KINDS)
        name, host = rng.choice(SERVICES), rng.choice(WORKERS)
        what = f"{kind} h{host}"
        match kind:
            case "scale":
                self._wanted[name] = rng.randint(1, MOST_REPLICAS)
                what = f"scale {name} to {self._wanted[name]}"
                self._scale(name)
            case "update":
                what = f"update {name}"
                self.cluster.docker("service", "update", "--detach", "--force", f"churn_{name}")
            case "kill task":
                what = f"kill a task of {name}"
                victim = rng.choice(self.cluster.containers(f"churn_{name}"))
                lab.engine(victim.host, "POST", f"/containers/{victim.id}/kill")
            case "kill netd":
                lab.kill_netd(host)
                self._scale(name, rng.randint(1, MOST_REPLICAS))
                lab.start_netd(host)
            case "kill stackd":
                lab.kill_stackd(host)
                self._scale(name, rng.randint(1, MOST_REPLICAS))
                lab.start_stackd(host)
            case "power":
                lab.poweroff(host)
                time.sleep(rng.uniform(0, 3))
                lab.poweron(host)
            case _:
                lab.link(host, "down")
                self._scale(name, rng.randint(1, MOST_REPLICAS))
                time.sleep(rng.uniform(self.shortest_cut_s, self.longest_cut_s))
                lab.link(host, "up")
        return what, time.monotonic()

    def _scale(self, name: str, replicas: int = 0) -> None:
        if replicas:
            self._wanted[name] = replicas
        service = self.cluster.service(f"churn_{name}")
        spec = service["Spec"]
        spec["Mode"] = {"Replicated": {"Replicas": self._wanted[name]}}
        version = service["Version"]["Index"]
        self.cluster.api("POST", f"/services/{service['ID']}/update?version={version}", spec)

    # ---- what must follow

    def _settle(self) -> float:
        """Wait until the manager knows only of tasks as wanted; return since when."""

        def is_settled() -> bool:
            if any(self.cluster.node(host)["Status"]["State"] != "ready" for host in HOSTS):
                return False
            counts = {**self._wanted, CLIENT: len(HOSTS)}
            live = self._live()
            return all(
                len(live[name]) == count and all(is_wanted for _, is_wanted in live[name])
                for name, count in counts.items()
            )

        wait_for("the tasks as wanted", is_settled, limit_s=SETTLE_LIMIT_S, pause_s=LOOK_S)
        return time.monotonic()

    def _until_names_are_right(self) -> None:
        names = [f"tasks.{name}" for name in SERVICES]

        def are_right() -> bool:
            """Raise LabError, with what is wrong, until all is right."""
            live = self._live()
            wanted = {f"tasks.{n}": sorted(address for address, _ in live[n]) for n in SERVICES}
            for host in HOSTS:
                found = self._client(host).look_up(names)
                if found != wanted:
                    raise LabError(f"h{host} finds {found} where tasks run at {wanted}")
            return True

        wait_for("right names", are_right, limit_s=SETTLE_LIMIT_S, pause_s=LOOK_S)

    def _live(self) -> dict[str, list[tuple[str, bool]]]:
        """The address of each task that has not ended, and whether it runs as wanted."""
        ids = {one["ID"]: one["Spec"]["Name"] for one in self.cluster.api("GET", "/services")}
        live: dict[str, list[tuple[str, bool]]] = {name: [] for name in (*SERVICES, CLIENT)}
        for task in self.cluster.api("GET", "/tasks"):
            state = task["Status"]["State"]
            if state in ENDED:
                continue
            places = task.get("NetworksAttachments") or [{"Addresses": [""]}]
            address = places[0]["Addresses"][0].partition("/")[0]
            is_wanted = state == task["DesiredState"] == "running"
            live[ids[task["ServiceID"]].removeprefix("churn_")].append((address, is_wanted))
        return live

    def _client(self, host: int) -> Client:
        """The client of a host, in the container that it has now.

        Raises:
            LabError: no container runs there; its task may be being replaced without the manager
                knowing yet.
        """
        running = [c for c in self.cluster.containers(f"churn_{CLIENT}") if c.host == host]
        if len(running) != 1:
            raise LabError(f"{len(running)} clients run on h{host}")
        [container] = running
        known = self._clients.get(host)
        if known is not None and known.container_id == container.id:
            return known
        if known is not None:
            known.close()
        command = ("docker", "exec", "-i", container.id, "python3", "-u", "-c", RESOLVER)
        client = Client(container.id, self.cluster.lab.argv_in(host, *command))
        self._clients[host] = client
        return client

    def close(self) -> None:
        """End the clients."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()


class Client:
    """Looks names up inside a container."""

    def __init__(self, container_id: str, command: list[str]) -> None:
        """Start the program `RESOLVER` there."""
        self.container_id = container_id
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def look_up(self, names: list[str]) -> dict[str, list[str]]:
        """Return the addresses of names.

        Raises:
            OSError: the container has gone.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(" ".join(names) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise OSError(f"nothing answers in container {self.container_id[:12]}")
        found: dict[str, list[str]] = json.loads(line)
        return found

    def close(self) -> None:
        """End it."""
        self._process.kill()
        with self._process:
            self._process.wait()


class Load:
    """Requests to all services by name, from the manager's host, as long as the context lasts."""

    def __init__(self, cluster: Cluster) -> None:
        """Prepare; the stack must run."""
        [client] = [c for c in cluster.containers(f"churn_{CLIENT}") if c.host == MANAGER]
        command = ("docker", "exec", "-i", client.id, "python3", "-u", "-c", LOAD, *SERVICES)
        self._command = cluster.lab.argv_in(MANAGER, *command)
        self.answered = 0
        self.failed = 0

    def __enter__(self) -> Load:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        output, _ = self._process.communicate()
        self.answered, self.failed = map(int, output.split())


def summary(steps: Sequence[Step]) -> str:
    """How long names took, in one line."""
    healed, lags = (sorted(getattr(s, f) for s in steps) for f in ("healed_s", "lag_s"))

    def of(values: list[float]) -> str:
        middle, most = values[len(values) // 2], values[-1]
        late = sum(1 for value in values if value > PROMPT_S)
        return f"median {middle:.2f} s, most {most:.2f} s, {late} above {PROMPT_S:.0f} s"

    return f"{len(steps)} steps; names right after all is whole: {of(healed)}; after the manager knows: {of(lags)}"
