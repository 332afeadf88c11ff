"""Requests and responses between nodes.

One session of a node with the leader: ``Session`` registers it and streams what concerns the
node as a whole; ``Assignments`` streams its tasks, first the full set and then differences;
``Heartbeat`` says that it lives; ``UpdateTaskStatus`` reports.  All but the first name the
session that ``Session`` opened, so that a node that registered again cannot be confused with its
former self.
"""

from __future__ import annotations

from cluster.model.attachment import PlainEndpoint
from cluster.model.config import Config
from cluster.model.diagnosis import DiagnosisOrder, NodeDiagnosis
from cluster.model.ids import ConfigId, NetworkId, NodeId, SecretId, ServiceId, TaskId
from cluster.model.logs import LogLine, LogOptions
from cluster.model.network_view_change import ViewChange
from cluster.model.node import Node, NodeDescription
from cluster.model.registry_login import RegistryLogin
from cluster.model.secret import Secret
from cluster.model.spec_struct import ObjectStruct
from cluster.model.task import Task, TaskStatus
from cluster.model.units import DurationNs
from cluster.raft.messages import InstallSnapshot, Message


class ManagerAddress(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Where a manager can be reached: host:port."""

    node_id: NodeId
    addr: str


class SessionRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Opens a session; `addr` is the node's own IP address as others should use it.

    `manager_addr` is the host:port on which the node is reached as long as it is a manager.
    """

    description: NodeDescription
    addr: str = ""
    manager_addr: str = ""


class SessionMessage(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Sent at once, and again whenever a member has changed.

    `root_ca_pem` is the root to trust, `issuer_pem` the one that signs certificates: a node that
    has one of another issuer renews it at once. `diagnosis` orders the node to look for trouble,
    once for each ID.
    """

    session_id: str
    node: Node
    managers: tuple[ManagerAddress, ...] = ()
    heartbeat_period_ns: DurationNs = 0
    root_ca_pem: str = ""
    issuer_pem: str = ""
    diagnosis: DiagnosisOrder | None = None


class DiagnosisRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What the node found out when it was ordered to look."""

    session_id: str
    order_id: str
    diagnosis: NodeDiagnosis


class HeartbeatRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The node lives."""

    session_id: str


class HeartbeatResponse(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """When to send the next one, nanoseconds from now."""

    period_ns: DurationNs


class AssignmentsRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Asks for the node's tasks."""

    session_id: str


class AssignmentsMessage(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What the node must run.

    With `is_complete` the node drops every task that is not in `tasks`; otherwise `tasks` are new
    or changed and `removed` are gone; the same holds for the secrets, configs and registry logins
    that the tasks need.  `view` brings what the node knows of the networks up to date, and
    `drained` names tasks that are to end and to which no node opens a connection any more.
    `sequence` counts from 0 in a stream: a gap means that the stream must be opened anew.
    """

    sequence: int
    is_complete: bool = False
    tasks: tuple[Task, ...] = ()
    removed: tuple[TaskId, ...] = ()
    secrets: tuple[Secret, ...] = ()
    removed_secrets: tuple[SecretId, ...] = ()
    configs: tuple[Config, ...] = ()
    removed_configs: tuple[ConfigId, ...] = ()
    logins: tuple[RegistryLogin, ...] = ()
    removed_logins: tuple[ServiceId, ...] = ()
    view: ViewChange | None = None
    drained: tuple[TaskId, ...] = ()


class AcknowledgeViewRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The node's networks are as the view of this revision says, but for those that failed."""

    session_id: str
    revision: int
    failed: tuple[NetworkId, ...] = ()


class TaskStatusUpdate(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A task's newest observed status."""

    task_id: TaskId
    status: TaskStatus


class UpdateTaskStatusRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Reports statuses; those of tasks that are not the node's own are refused."""

    session_id: str
    updates: tuple[TaskStatusUpdate, ...]


class AttachRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Asks for a place of a plain container in a network, by the network's name or ID.

    `address` is the one it shall have, empty for any.
    """

    network: str
    address: str = ""


class AttachResponse(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The place: its own ID, the network's, and the address with the length of the prefix."""

    attachment_id: TaskId
    network_id: NetworkId
    address: str


class PlainContainersRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """All places of plain containers that the node's engine knows, at once.

    Those it does not name are given up, also `released`, which no container came to need.
    """

    endpoints: tuple[PlainEndpoint, ...] = ()
    released: tuple[TaskId, ...] = ()


class PlainContainersResponse(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """How many places were given lately that the node did not name yet: say it all again soon."""

    unseen: int = 0


class LogsRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Asks for orders about the logs of the node's tasks."""


class LogOrder(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Asks for a task's log; with `is_closed` nobody reads the log `log_id` any more."""

    log_id: str
    task_id: TaskId = TaskId("")
    options: LogOptions = LogOptions()
    is_closed: bool = False


class PublishLogsRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Lines of a task's log; with `is_end` the last ones, `error` says what is missing."""

    log_id: str
    task_id: TaskId
    lines: tuple[LogLine, ...] = ()
    is_end: bool = False
    error: str = ""


class PublishLogsResponse(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Whether somebody still reads; while `is_full`, ask again without lines before the next."""

    is_wanted: bool = True
    is_full: bool = False


class GoodbyeRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The node leaves of its own will: its tasks may move at once."""

    session_id: str


class RenewCertificateRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Asks for a new certificate for the key of `csr_pem`."""

    csr_pem: str


class CertificateResponse(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A certificate and the root that signed it; `raft_id` is that of a manager, else 0."""

    node_id: NodeId
    certificate_pem: str
    root_ca_pem: str
    raft_id: int = 0


class RaftBatch(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Raft messages to one member, in order; `sender_addr` is where to answer (host:port).

    It is also the answer to such messages: with what the member said to them at once, if anything.
    """

    messages: tuple[Message, ...]
    sender_addr: str = ""


class SnapshotChunk(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A piece of a snapshot's state: `data` belongs at `offset` of `total` bytes."""

    message: InstallSnapshot
    total: int
    offset: int
    data: bytes
    sender_addr: str = ""


class SnapshotProgress(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """How much of the snapshot the receiver has: send on from there."""

    received: int


class ReadIndex(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A manager's state is current once it has applied its log up to `index`."""

    index: int


class ForwardRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A request to the API, for the leader to answer; `target` is path and query as they came.

    `caller` says who sent it to the manager that passes it on, `origin` from where; a deploy token
    comes as it is, in the headers, for the leader to judge.  `newest` is the newest version of the
    API that this manager serves, "" if it is too old to say so: the leader's engine may be another.
    """

    method: str
    target: str
    caller: str = ""
    origin: str = ""
    newest: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __repr__(self) -> str:
        """Leave out the body, which may hold secrets."""
        return f"ForwardRequest({self.method} {self.target})"


class ForwardPart(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A part of the leader's answer: status and headers in the first, then pieces of the body."""

    status: int = 0
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __repr__(self) -> str:
        """Leave out the body, which may hold secrets."""
        return f"ForwardPart(status={self.status})"


class LeaveRequest(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A node wants to be no manager (any more), because it leaves the cluster."""


class Empty(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Nothing to say."""
