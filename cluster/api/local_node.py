"""What the API must know of, and may ask of, the node it runs on: a port the daemon implements."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager
from typing import Literal, Protocol

from cluster.errors import NotLeader, NotManager, Unavailable
from cluster.model.attachment import PlainPlace
from cluster.model.audit import CLUSTER_ITSELF, Author
from cluster.model.cluster import ClusterSpec
from cluster.model.diagnosis import Finding
from cluster.model.ids import NodeId, TaskId
from cluster.model.logs import LogLine, LogOptions, LogSelection
from cluster.model.node import Availability, Node
from cluster.model.spec_struct import ObjectStruct
from cluster.model.task import Task
from cluster.rpc.messages import ForwardPart, ForwardRequest
from cluster.store.interface import ClusterStore

LocalState = Literal["inactive", "pending", "active", "error", "locked"]

NOT_IN_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" '
    "to connect this node to swarm and try again."
)
IS_WORKER = (
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster "
    "state. Please run this command on a manager node or promote the current node to a manager."
)
LOCKED = (
    "Swarm is encrypted and needs to be unlocked before it can be used. "
    'Please use "docker swarm unlock" to unlock it.'
)
ALREADY_IN_SWARM = (
    'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm '
    "and join another one."
)
NOT_PART_OF_SWARM = "This node is not part of a swarm"
LAST_MANAGER_LEAVES = (
    "You are attempting to leave the swarm on a node that is participating as a manager. "
    "Removing the last manager erases all current state of the swarm. "
    "Use `--force` to ignore this message. "
)


MANAGER_LEAVES = (
    "You are attempting to leave the swarm on a node that is participating as a manager. "
    "{consequence}"
    "The only way to restore a swarm that has lost consensus is to reinitialize it with "
    "`--force-new-cluster`. Use `--force` to suppress this message."
)
TOO_FEW_LEFT = (
    "Removing this node leaves {left} managers out of {all}. "
    "Without a Raft quorum your swarm will be inaccessible. "
)


class AskLeader(NotLeader):
    """Only the leader can do this, and nothing was done yet: the request is to be passed on."""

    def __init__(self) -> None:
        super().__init__("this manager does not lead")


class RemoteManager(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A manager as this node knows it: host:port for other nodes."""

    node_id: NodeId
    addr: str


class LocalNodeInfo(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """This node's place in a cluster.

    `addr` is the node's own IP address, `error` says what is wrong in the state "error",
    `control_available` whether this node is a manager that answers for the cluster.
    """

    node_id: NodeId = NodeId("")
    addr: str = ""
    local_state: LocalState = "inactive"
    control_available: bool = False
    error: str = ""
    remote_managers: tuple[RemoteManager, ...] = ()


class InitRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """How to make a cluster; addresses are host:port, host, or an interface's name, or empty.

    `spec` is complete: absent members hold the defaults that apply. `author` asks for it.
    """

    listen_addr: str = ""
    advertise_addr: str = ""
    data_path_addr: str = ""
    data_path_port: int = 0
    force_new_cluster: bool = False
    spec: ClusterSpec = ClusterSpec()
    availability: Availability = "active"
    default_addr_pool: tuple[str, ...] = ()
    subnet_size: int = 0
    author: Author = CLUSTER_ITSELF


class JoinRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """How to join a cluster: managers to ask (host:port) and the secret token."""

    listen_addr: str = ""
    advertise_addr: str = ""
    data_path_addr: str = ""
    remote_addrs: tuple[str, ...] = ()
    join_token: str = ""
    availability: Availability = "active"

    def __repr__(self) -> str:
        """Name the managers without the token."""
        return f"JoinRequest(remote_addrs={self.remote_addrs!r})"


class RestoreRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """How to restore a cluster: the backup's passphrase, the rest as for init."""

    passphrase: str
    listen_addr: str = ""
    advertise_addr: str = ""
    availability: Availability = "active"
    author: Author = CLUSTER_ITSELF

    def __repr__(self) -> str:
        """Leave the passphrase out."""
        return f"RestoreRequest(advertise_addr={self.advertise_addr!r})"


class LogFeed(Protocol):
    """What one reader gets of tasks' logs."""

    def __aiter__(self) -> AsyncIterator[tuple[Task, LogLine]]:
        """Iterate over tasks and their lines, until there are no more."""
        ...


class LogSource(Protocol):
    """Brings logs of tasks from their nodes."""

    def open(self, selection: LogSelection, options: LogOptions) -> AbstractContextManager[LogFeed]:
        """Open the log of a service's tasks or of one task; to leave the context ends it."""
        ...


class LocalNode(Protocol):
    """The node this API is served by."""

    def info(self) -> LocalNodeInfo:
        """Return the node's place in a cluster, as it is now."""
        ...

    def leader_id(self) -> NodeId | None:
        """Return the leading manager as far as this node knows; None if unknown."""
        ...

    def store(self) -> ClusterStore:
        """Return the cluster's state, to change it.

        Raises:
            NotManager: this node holds none; `not_manager` gives the error.
            AskLeader: another manager leads.
        """
        ...

    def replica(self) -> ClusterStore:
        """Return this node's copy of the cluster's state, to read.

        It may lag behind the leader's, if `ensure_current` was not awaited just before.

        Raises:
            NotManager: this node holds none; `not_manager` gives the error.
            Unavailable: it has just started and does not know yet what it has missed.
        """
        ...

    async def ensure_current(self) -> None:
        """Return once `replica` holds everything acknowledged before this call.

        A node that is no manager returns at once.

        Raises:
            NotLeader: no majority of the managers answers.
        """
        ...

    async def wait_leader(self) -> bool:
        """Wait until somebody leads, and say whether it is this node.

        Raises:
            NotManager: this node is none.
            NotLeader: nobody leads, for longer than an election takes.
        """
        ...

    def forward(self, request: ForwardRequest) -> AsyncGenerator[ForwardPart, None]:
        """Let the leader answer a request.

        Raises:
            NotLeader: there is none, or the asked one does not lead (any more); nothing was done.
            Unavailable: it went away; the request may have been carried out.
        """
        ...

    async def check_demotion(self, node: Node) -> None:
        """Refuse to demote a manager without which the others could not go on.

        Raises:
            FailedPrecondition: it would cost the quorum, or it is the last manager.
        """
        ...

    def logs(self) -> LogSource:
        """Return where the logs of tasks come from; errors as with `store`."""
        ...

    async def diagnose(self) -> tuple[Finding, ...]:
        """Have all nodes look for trouble, and return what is wrong.

        Raises:
            NotManager: this node is none.
            AskLeader: another manager leads.
            Unavailable: it is being done already.
        """
        ...

    async def attach(self, network: str, address: str) -> PlainPlace:
        """Get a place for a plain container of this node in a network, which is ready then.

        Args:
            network: the cluster's network, by name or ID.
            address: the one that it shall have, empty for any.

        Raises:
            NotFound: the cluster has no such network.
            PermissionDenied: plain containers may not join it.
            FailedPrecondition: no address is free, or this node has no network process.
            Unavailable: no manager answers, or the network is not ready in time.
        """
        ...

    async def release(self, attachment_id: TaskId) -> None:
        """Give back a place that no container came to need."""
        ...

    def made(self, attachment_id: TaskId) -> None:
        """Take note that a place has its container: once that is gone, so is the place."""
        ...

    def network_name(self, text: str) -> str | None:
        """Return the name of a network that this node is in, by name or ID; else None.

        Raises:
            NotManager: the node is in no cluster.
        """
        ...

    async def init(self, request: InitRequest) -> NodeId:
        """Make a cluster with this node as its first manager, and return once it leads.

        Raises:
            InvalidArgument: an address that is none or not this node's.
            Unavailable: the node is already in a cluster.
        """
        ...

    async def join(self, request: JoinRequest) -> None:
        """Join a cluster, and return once this node is a member.

        Raises:
            InvalidArgument: a wrong token or address.
            Unavailable: the node is already in a cluster, or no manager answers.
        """
        ...

    async def backup(self, passphrase: str) -> bytes:
        """Return a copy of the cluster as `replica` has it, sealed.

        Raises:
            NotManager: this node is none.
            InvalidArgument: the passphrase is too short.
        """
        ...

    async def restore(self, request: RestoreRequest, content: bytes) -> NodeId:
        """Become the one manager of the cluster in a backup, and return once this node leads it.

        Raises:
            InvalidArgument: the backup cannot be used, or an address is wrong; nothing is changed.
            Unauthenticated: the passphrase is another.
            Unavailable: the node is already in a cluster.
        """
        ...

    async def unlock(self, unlock_key: str) -> None:
        """Open this manager's keys, and return once it takes part again or after a while.

        Raises:
            InvalidArgument: what was given has not the form of a key.
            Unauthenticated: it is not the key.
            FailedPrecondition: the node is not locked.
        """
        ...

    def leave_warning(self) -> str:
        """Return what a user must know before this manager leaves."""
        ...

    async def leave(self, *, force: bool) -> None:
        """Leave the cluster; a manager only with `force`. The last one ends the cluster.

        Raises:
            Unavailable: not in a cluster, or a manager without `force`.
        """
        ...


def not_manager(info: LocalNodeInfo) -> NotManager:
    """Return the error with which a node that is no manager answers for the cluster."""
    if info.local_state == "inactive":
        return NotManager(NOT_IN_SWARM)
    if info.local_state == "locked":
        return NotManager(LOCKED)
    if info.local_state == "error" and info.error:
        return NotManager(f"This node could not start as a member of the swarm: {info.error}")
    if info.local_state == "pending":
        return NotManager("This node is starting or joining a swarm and not ready yet. Try again.")
    return NotManager(IS_WORKER)


def already_in_swarm() -> Unavailable:
    """Return the error for `init` or `join` on a member."""
    return Unavailable(ALREADY_IN_SWARM)
