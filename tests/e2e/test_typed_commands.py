"""What README.md, the first steps and the documents for operators tell people to type, typed in order."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from tests.support.certificates import TestAuthority
from tests.support.cluster import HOSTS, MANAGER, Cluster, wait_for
from tests.support.lab_host import ROOT, Host, environment, in_parallel
from tests.support.typed_commands import FIRST_STEPS, INSTALL, README, Typed, blocks, replaced

AUTOLOCK = "docs/operations/autolock.md"
BACKUP = "docs/operations/backup.md"
CERTIFICATES = "docs/operations/certificates.md"
MANAGERS = "docs/operations/managers.md"
NETWORK = "docs/operations/network.md"
TROUBLESHOOTING = "docs/operations/troubleshooting.md"

DEPLOY = "stack deploy -c docker-compose.yml shop"
JOIN = "stack cluster join --token SWMTKN-1-... 10.0.0.1:2377"
INIT = "stack cluster init --advertise-addr 10.0.0.1"

ONE_HOST = (Typed(README, 1, "stack cluster init"),)
THREE_HOSTS = (
    Typed(README, 1, INIT),
    Typed(README, 1, "stack cluster token worker"),
    Typed(README, 2, JOIN),
    Typed(README, 3, JOIN),
    Typed(README, 1, "stack node ls"),
)
A_STACK = (
    Typed(README, 1, DEPLOY),
    Typed(README, 1, "stack ps shop"),
    Typed(README, 1, "curl http://localhost:8080"),
    Typed(TROUBLESHOOTING, 1, "docker ps -a --filter label=com.stackyard.cluster"),
    Typed(INSTALL, 1, "docker -H unix:///run/stackyard/stackd.sock node ls"),
)
LOOKS = (
    Typed(NETWORK, 1, "curl -s --unix-socket /run/stackyard/netd.sock http://netd/status"),
    Typed(NETWORK, 1, "ip netns exec stknet-k2rfzqmk ip route"),
    Typed(NETWORK, 1, "ip netns exec stknet-k2rfzqmk nft list ruleset"),
    Typed(
        NETWORK,
        1,
        "docker -H unix:///run/stackyard/stackd.sock network create --driver overlay --attachable yard",
    ),
    Typed(
        NETWORK,
        1,
        "docker -H unix:///run/stackyard/stackd.sock run --network yard --name box IMAGE",
    ),
)
AUTHORITY = (
    Typed(CERTIFICATES, 1, "stack cluster ca"),
    Typed(CERTIFICATES, 1, "stack node ls"),
    Typed(
        CERTIFICATES,
        1,
        "openssl x509 -in /var/lib/stackyard/certificates/node.pem -noout -subject -issuer -enddate",
    ),
    Typed(CERTIFICATES, 1, "stack cluster ca --cert-expiry 720h"),
    Typed(CERTIFICATES, 1, "stack cluster ca --rotate"),
    Typed(CERTIFICATES, 1, "stack cluster ca --rotate --ca-cert root.pem --ca-key root.key"),
)
COPY = (Typed(BACKUP, 1, "stack cluster backup /backup/cluster-$(date +%F).backup"),)
RESTORE = (
    Typed(
        BACKUP,
        3,
        "stack cluster restore /backup/cluster-2026-11-25.backup --advertise-addr 10.0.0.77",
    ),
)
OVER_TCP = (
    Typed(
        INSTALL,
        1,
        "stackd --host tcp://10.0.0.1:2376 --tlscacert ca.pem --tlscert server-cert.pem "
        "--tlskey server-key.pem",
    ),
    Typed(
        INSTALL,
        2,
        "DOCKER_HOST=tcp://10.0.0.1:2376 DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=~/.docker "
        "stack node ls",
    ),
)
ROLES = (
    Typed(MANAGERS, 1, "stack cluster token manager"),
    Typed(MANAGERS, 1, "stack node promote worker-1"),
    Typed(MANAGERS, 1, "stack node demote manager-2"),
)
MANAGER_LEAVES = (
    Typed(MANAGERS, 3, "stack cluster leave --force"),
    Typed(MANAGERS, 1, "stack node rm manager-2"),
)
NO_MAJORITY = (Typed(MANAGERS, 1, "stack cluster init --force-new-cluster"),)
SHUT_OUT = (Typed(CERTIFICATES, 1, "stack node rm --force NODE"),)
WORKER_LEAVES = (
    Typed(INSTALL, 1, "stack node drain --wait worker-2"),
    Typed(INSTALL, 3, "stack cluster leave"),
    Typed(INSTALL, 1, "stack node rm worker-2"),
)
LOCK = (
    Typed(AUTOLOCK, 1, "stack cluster init --autolock"),
    Typed(AUTOLOCK, 1, "stack cluster lock on"),
    Typed(AUTOLOCK, 1, "stack cluster unlock-key"),
)
UNLOCK = (
    Typed(AUTOLOCK, 1, "stack cluster unlock"),
    Typed(AUTOLOCK, 1, "stack cluster unlock-key --rotate"),
    Typed(AUTOLOCK, 1, "stack cluster lock off"),
)
NO_NETWORKS = (
    Typed(
        NETWORK,
        3,
        'for n in $(ls /run/netns | grep ^stknet-); do ip netns delete "$n"; done',
    ),
    Typed(NETWORK, 3, "nft delete table ip stackyard"),
    Typed(NETWORK, 3, "nft delete table inet stackyard"),
)

STEP_CHECK = (
    Typed(FIRST_STEPS, 1, "printf 'open sesame' >api_key.txt"),
    Typed(FIRST_STEPS, 1, "stack check docker-compose.yml"),
)
STEP_CLUSTER = (
    Typed(FIRST_STEPS, 1, INIT),
    Typed(FIRST_STEPS, 1, "stack cluster token worker"),
    Typed(FIRST_STEPS, 2, JOIN),
    Typed(FIRST_STEPS, 3, JOIN),
    Typed(FIRST_STEPS, 1, "stack node ls"),
    Typed(FIRST_STEPS, 1, "stack cluster doctor"),
)
STEP_DEPLOY = (
    Typed(FIRST_STEPS, 1, DEPLOY),
    Typed(FIRST_STEPS, 1, "stack ps shop"),
    Typed(FIRST_STEPS, 1, "curl http://10.0.0.2:8080"),
)
STEP_TOKEN = (
    Typed(FIRST_STEPS, 1, "stack token create ci --stack shop --expires 90d"),
    Typed(
        FIRST_STEPS,
        1,
        "stackd --host tcp://10.0.0.1:2376 --accept-tokens --tlscacert ca.pem "
        "--tlscert server-cert.pem --tlskey server-key.pem",
    ),
)
EXPORT = Typed(
    FIRST_STEPS,
    2,
    "export DOCKER_HOST=tcp://10.0.0.1:2376 DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=tls",
)
STEP_PIPELINE = (
    Typed(
        FIRST_STEPS,
        2,
        "sed -i 's/WHOAMI_NAME: first/WHOAMI_NAME: second/' docker-compose.yml",
    ),
    EXPORT,
    Typed(
        FIRST_STEPS,
        2,
        "stack --token-file ci-token deploy -c docker-compose.yml --atomic shop",
    ),
    Typed(FIRST_STEPS, 2, "curl http://10.0.0.3:8080"),
)
STEP_FAILURE = (
    Typed(
        FIRST_STEPS,
        2,
        r"printf 'services: {web: {command: [--nonsense]}}\n' >broken.yml",
    ),
    EXPORT,
    Typed(
        FIRST_STEPS,
        2,
        "stack --token-file ci-token deploy -c docker-compose.yml -c broken.yml --atomic shop "
        '|| echo "exit code $?"',
    ),
    Typed(FIRST_STEPS, 2, "curl http://10.0.0.3:8080"),
    Typed(FIRST_STEPS, 2, "stack --token-file ci-token history shop"),
)
STEP_DEATH = (
    Typed(FIRST_STEPS, 1, "stack node ls"),
    Typed(FIRST_STEPS, 1, "stack ps shop"),
    Typed(FIRST_STEPS, 1, "curl http://10.0.0.2:8080"),
)
STEP_MANAGERS = (
    Typed(FIRST_STEPS, 1, "stack node promote h2"),
    Typed(FIRST_STEPS, 1, "stack node promote h3"),
)

TYPED = (
    *(*ONE_HOST, *THREE_HOSTS, *A_STACK, *LOOKS, *AUTHORITY, *COPY, *RESTORE, *OVER_TCP, *ROLES),
    *(*MANAGER_LEAVES, *NO_MAJORITY, *SHUT_OUT, *WORKER_LEAVES, *LOCK, *UNLOCK, *NO_NETWORKS),
    *(*STEP_CHECK, *STEP_CLUSTER, *STEP_DEPLOY, *STEP_TOKEN, *STEP_PIPELINE, *STEP_FAILURE),
    *(*STEP_DEATH, *STEP_MANAGERS),
)
"""All that these tests type; tests/architecture compares it with the documents."""

IMAGES = {
    "traefik/whoami:v1.10": "stackyard/hello:1",
    "nginx:alpine": "stackyard/hello:1",
    "redis:7": "stackyard/redis:1",
    "8080:80": "8080:8080",
}
"""What stands for images of the internet, and the port on which it listens."""


class Desk:
    """A folder with a document's file, and a shell on each host, where `stackd` has its usual places."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.instead = {f"10.0.0.{host}": cluster.address(host) for host in HOSTS}
        self.env: dict[str, str] = {}
        for host in HOSTS:
            self.furnish(host)

    def furnish(self, host: int) -> None:
        """Make the sockets of a host known by their usual paths there."""
        found = self.cluster.lab.host(host)
        places = {"stackd": found.stackd_socket, "netd": found.netd_socket}
        links = (f"ln -sfn {path} /run/stackyard/{name}.sock" for name, path in places.items())
        self.cluster.lab.enter(host, "sh", "-ec", "\n".join(["mkdir -p /run/stackyard", *links]))

    def write(self, document: str) -> None:
        """Write the document's compose file, with images that the lab has."""
        [content] = blocks(document, "yaml")
        (self.folder / "docker-compose.yml").write_text(replaced(content, IMAGES))

    def type(self, *typed: Typed, **instead: str) -> str:
        """Type commands one after the other, in one shell; gives what they print.

        Args:
            typed: all on one host; each must end well.
            instead: what stands for which word of them.
        """
        [host] = {one.host for one in typed}
        words = {**self.instead, **instead}
        script = "\n".join(["set -eu", *(replaced(one.command, words) for one in typed)])
        done = subprocess.run(
            self.cluster.lab.argv_in(
                host, "sh", "-c", 'cd "$1" && exec sh -c "$2"', "sh", str(self.folder), script
            ),
            env={**self._environment(), **self.env},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"h{host}: {script}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def type_each(self, *typed: Typed, **instead: str) -> str:
        """Type commands, each in a shell of its host."""
        return "".join(self.type(one, **instead) for one in typed)

    def serve(self, typed: Typed) -> None:
        """Start a host's stackd with the options of a document."""
        authority = TestAuthority()
        address = self.cluster.address(typed.host)
        server = authority.fill(self.folder / "server", address=address)
        client = authority.fill(self.folder / "client")
        (self.folder / "tls").mkdir()
        (self.folder / "tls/ca.pem").write_bytes((client / "ca.pem").read_bytes())
        made = {
            "server-cert.pem": str(server / "cert.pem"),
            "server-key.pem": str(server / "key.pem"),
            " ca.pem": f" {server / 'ca.pem'}",
        }
        program, *options = shlex.split(replaced(typed.command, {**self.instead, **made}))
        assert program == "stackd"
        self.cluster.lab.kill_stackd(typed.host)
        self.cluster.lab.start_stackd(typed.host, *options)
        self.wait_for_nodes()

    def wait_for_nodes(self) -> None:
        """Wait until all nodes that the manager has are ready."""
        wait_for("ready nodes", lambda: all(
            node["Status"]["State"] == "ready" for node in self.cluster.api("GET", "/nodes")
        ))  # fmt: skip

    def _environment(self) -> Mapping[str, str]:
        path = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
        return {**environment(), "PATH": path, "DOCKER_CONFIG": str(self.folder)}


@pytest.fixture
def desk(hosts: Cluster, tmp_path: Path) -> Iterator[Desk]:
    """Three hosts in no cluster; whatever becomes of them, they are in none afterwards."""
    leave_all(hosts)
    yield Desk(hosts, tmp_path)
    for host in HOSTS:
        hosts.lab.kill_stackd(host)  # it may have options of a document
    leave_all(hosts)


def is_settled(cluster: Cluster, host: int) -> bool:
    """Whether a host knows if it is in a cluster."""
    return bool(cluster.swarm_state(host)["LocalNodeState"] != "pending")


def leave_all(cluster: Cluster) -> None:
    """Switch all hosts on, and take them out of their cluster."""

    def leave(host: Host) -> None:
        cluster.lab.poweron(host.index)
        cluster.lab.link(host.index, "up")
        cluster.lab.start_stackd(host.index)
        wait_for(f"{host.name} to know its place", partial(is_settled, cluster, host.index))
        if cluster.swarm_state(host.index)["LocalNodeState"] != "inactive":
            cluster.stack("cluster", "leave", "--force", host=host.index)

    in_parallel(leave, [cluster.lab.host(host) for host in HOSTS])


def form(desk: Desk, typed: tuple[Typed, ...]) -> str:
    """Type the commands that make a cluster of three hosts."""
    initialise, ask, *joins, look = typed
    desk.type(initialise)
    said = desk.type(ask)
    token = next(word for word in said.split() if word.startswith("SWMTKN-"))
    for one in joins:
        desk.type(one, **{"SWMTKN-1-...": token})
    desk.wait_for_nodes()
    return desk.type(look)


@pytest.mark.timeout(600)
def test_a_cluster_is_made_looked_at_and_copied(desk: Desk) -> None:
    cluster = desk.cluster
    desk.type(*ONE_HOST)
    cluster.stack("cluster", "leave", "--force")
    assert form(desk, THREE_HOSTS).count("Ready") >= len(HOSTS)
    desk.write(README)
    assert "Hello from container" in desk.type(*A_STACK)
    [*looks, create, run] = LOOKS
    [name] = cluster.lab.enter(
        1, "sh", "-c", "ls /run/netns | grep ^stknet- | head -1"
    ).stdout.split()
    assert "10." in desk.type(*looks, **{"stknet-k2rfzqmk": name})
    desk.type(create, run, IMAGE="stackyard/test:1 true")
    key = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 99 "
    cluster.lab.enter(
        1, "sh", "-c", f"cd {desk.folder} && {key} -subj /CN=root -keyout root.key -out root.pem"
    )
    state = str(cluster.lab.host(1).folder / "stackd")
    desk.type(*AUTHORITY, **{"/var/lib/stackyard": state})
    desk.env["STACK_BACKUP_PASSPHRASE"] = "correct horse"
    desk.type(*COPY, **{"/backup": str(desk.folder)})
    [copy] = desk.folder.glob("cluster-*.backup")
    cluster.stack("cluster", "leave", "--force", host=3)
    address = cluster.address(3)
    desk.type(*RESTORE, **{"/backup/cluster-2026-11-25.backup": str(copy), "10.0.0.77": address})
    running = partial(cluster.lab.engine, 3, "GET", "/containers/json")
    wait_for("the stack to run on the restored host", running)
    cluster.lab.kill_netd(3)
    desk.type(*NO_NETWORKS)
    cluster.lab.poweroff(3)  # a host that is switched on again has all that it needs


@pytest.mark.timeout(600)
def test_managers_come_and_go(desk: Desk) -> None:
    cluster = desk.cluster
    form(desk, THREE_HOSTS)
    serve, ask = OVER_TCP
    desk.serve(serve)
    assert "h3" in desk.type(ask, **{"~/.docker": str(desk.folder / "client")})

    def is_manager(host: int) -> bool:
        shown = cluster.node(host).get("ManagerStatus") or {}
        return bool(shown.get("Reachability") == "reachable")

    promote, demote = ROLES[1:]
    names = {"worker-1": "h2", "manager-2": "h2"}
    desk.type(*ROLES[:2], **names)
    wait_for("h2 to be a manager", lambda: is_manager(2))
    desk.type(demote, **names)
    wait_for("h2 to be a worker", lambda: not cluster.node(2).get("ManagerStatus"))
    cluster.stack("node", "promote", "h3")
    wait_for("h3 to be a manager", lambda: is_manager(3))
    leave, forget = MANAGER_LEAVES
    desk.type(leave)
    wait_for("h3 to be away", lambda: cluster.node(3)["Status"]["State"] == "down")
    desk.type(forget, **{"manager-2": "h3"})
    cluster.join(3)

    desk.type(promote, **names)
    wait_for("h2 to be a manager", lambda: is_manager(2))
    cluster.lab.kill_stackd(2)
    desk.type(*NO_MAJORITY)
    wait_for("the manager to lead", lambda: cluster.api("GET", "/swarm"))
    desk.type(*SHUT_OUT, NODE="h2")
    cluster.wait_for_node(3, "ready")
    drain, leave, forget = WORKER_LEAVES
    desk.type(drain, **{"worker-2": "h3"})
    desk.type(leave)
    cluster.wait_for_node(3, "down")
    desk.type(forget, **{"worker-2": "h3"})
    assert [n["Description"]["Hostname"] for n in cluster.api("GET", "/nodes")] == ["h1"]


def test_a_manager_is_locked(desk: Desk) -> None:
    cluster = desk.cluster
    said = desk.type(*LOCK)
    desk.env["STACK_UNLOCK_KEY"] = next(w for w in said.split() if w.startswith("SWMKEY-"))
    cluster.lab.kill_stackd(MANAGER)
    cluster.lab.start_stackd(MANAGER)
    desk.type(*UNLOCK)


@pytest.mark.timeout(600)
def test_the_first_steps(desk: Desk) -> None:
    cluster = desk.cluster
    desk.write(FIRST_STEPS)
    desk.type(*STEP_CHECK)
    *cluster_steps, doctor = STEP_CLUSTER
    form(desk, tuple(cluster_steps))
    desk.type(doctor)
    assert "from container" in desk.type(*STEP_DEPLOY)
    for container in cluster.wait_running("shop_web", 3):
        found = "cat /run/secrets/api_key && nslookup store"
        said = cluster.docker("exec", container.id, "sh", "-c", found, host=container.host).stdout
        assert said.startswith("open sesame")

    create, serve = STEP_TOKEN
    (desk.folder / "ci-token").write_text(desk.type(create).split()[0])
    desk.serve(serve)
    greeting = {"WHOAMI_NAME": "GREETING"}
    compose = desk.folder / "docker-compose.yml"
    compose.write_text(replaced(compose.read_text(), greeting))
    assert "second from container" in desk.type(*STEP_PIPELINE, **greeting)
    said = desk.type(*STEP_FAILURE)
    assert "exit code 3" in said
    assert "back to" in said
    assert "second from container" in said

    cluster.lab.poweroff(3)
    cluster.wait_for_node(3, "down")
    wait_for(
        "three tasks on two hosts",
        lambda: (
            {task.node for task in cluster.running_tasks("shop_web")} == {"h1", "h2"}
            and len(cluster.running_tasks("shop_web")) == 3
        ),
    )
    said = desk.type(*STEP_DEATH)
    assert "Down" in said or "down" in said
    assert "second from container" in said
    cluster.lab.poweron(3)
    cluster.wait_for_node(3, "ready")
    desk.type(*STEP_MANAGERS)
