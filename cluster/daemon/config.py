"""What the command line and the environment told the process."""

from __future__ import annotations

from pathlib import Path

from cluster.api.tcp_endpoint import TcpEndpoint
from cluster.model.resources import GenericResource
from cluster.model.spec_struct import ObjectStruct

DEFAULT_STATE_DIR = Path("/var/lib/stackyard")
DEFAULT_SOCKET = Path("/run/stackyard/stackd.sock")
DEFAULT_RUN_DIR = Path("/run/stackyard")
DEFAULT_NETWORK_SOCKET = Path("/run/stackyard/netd.sock")
DEFAULT_ENGINE = "unix:///var/run/docker.sock"
DEFAULT_PORT = 2377
DEFAULT_LISTEN_ADDR = f"0.0.0.0:{DEFAULT_PORT}"


class DaemonConfig(ObjectStruct, frozen=True, kw_only=True):
    """Settings that stay for the life of the process."""

    state_dir: Path = DEFAULT_STATE_DIR
    socket: Path = DEFAULT_SOCKET
    run_dir: Path = DEFAULT_RUN_DIR
    tcp: tuple[TcpEndpoint, ...] = ()
    engine_socket: Path = Path("/var/run/docker.sock")
    network_socket: Path = DEFAULT_NETWORK_SOCKET
    hostname: str = ""
    advertise_addr: str = ""  # where a member is reached from now on; "" leaves it where it was
    generic_resources: tuple[GenericResource, ...] = ()  # beside those the engine names
    forbidden: frozenset[str] = frozenset()  # of cluster.executor.node_policy.FORBIDDABLE
