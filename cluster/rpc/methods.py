"""Every method between nodes: its name, its types, and who may call it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from cluster.model.node import Role
from cluster.rpc import messages

Request = TypeVar("Request")
Response = TypeVar("Response")

ANY_NODE: frozenset[Role] = frozenset({"worker", "manager"})
MANAGERS: frozenset[Role] = frozenset({"manager"})


class Method(Generic[Request, Response]):
    """One method; the certificate's role must be among `roles`."""

    def __init__(
        self,
        name: str,
        request: type[Request],
        response: type[Response],
        *,
        roles: frozenset[Role],
        is_streaming: bool = False,
    ) -> None:
        """Describe a method.

        Args:
            name: ``Service/Method``.
            request: type of the one request.
            response: type of the response, or of each message of the stream.
            roles: who may call it.
            is_streaming: whether the server answers with a stream.
        """
        self.name = name
        self.path = f"/stackyard.{name}"
        self.request = request
        self.response = response
        self.roles = roles
        self.is_streaming = is_streaming


SESSION = Method(
    "Dispatcher/Session",
    messages.SessionRequest,
    messages.SessionMessage,
    roles=ANY_NODE,
    is_streaming=True,
)
HEARTBEAT = Method(
    "Dispatcher/Heartbeat", messages.HeartbeatRequest, messages.HeartbeatResponse, roles=ANY_NODE
)
ASSIGNMENTS = Method(
    "Dispatcher/Assignments",
    messages.AssignmentsRequest,
    messages.AssignmentsMessage,
    roles=ANY_NODE,
    is_streaming=True,
)
UPDATE_TASK_STATUS = Method(
    "Dispatcher/UpdateTaskStatus", messages.UpdateTaskStatusRequest, messages.Empty, roles=ANY_NODE
)
ACKNOWLEDGE_VIEW = Method(
    "Dispatcher/AcknowledgeView", messages.AcknowledgeViewRequest, messages.Empty, roles=ANY_NODE
)
GOODBYE = Method("Dispatcher/Goodbye", messages.GoodbyeRequest, messages.Empty, roles=ANY_NODE)
REPORT_DIAGNOSIS = Method(
    "Dispatcher/ReportDiagnosis", messages.DiagnosisRequest, messages.Empty, roles=ANY_NODE
)
ATTACH = Method("Networks/Attach", messages.AttachRequest, messages.AttachResponse, roles=ANY_NODE)
PLAIN_CONTAINERS = Method(
    "Networks/PlainContainers",
    messages.PlainContainersRequest,
    messages.PlainContainersResponse,
    roles=ANY_NODE,
)
LOGS = Method(
    "Logs/Orders", messages.LogsRequest, messages.LogOrder, roles=ANY_NODE, is_streaming=True
)
PUBLISH_LOGS = Method(
    "Logs/Publish", messages.PublishLogsRequest, messages.PublishLogsResponse, roles=ANY_NODE
)
RENEW_CERTIFICATE = Method(
    "Certificates/Renew",
    messages.RenewCertificateRequest,
    messages.CertificateResponse,
    roles=ANY_NODE,
)

RAFT_MESSAGES = Method("Raft/Messages", messages.RaftBatch, messages.RaftBatch, roles=MANAGERS)
RAFT_SNAPSHOT = Method(
    "Raft/Snapshot", messages.SnapshotChunk, messages.SnapshotProgress, roles=MANAGERS
)
RAFT_READ_INDEX = Method("Raft/ReadIndex", messages.Empty, messages.ReadIndex, roles=MANAGERS)
FORWARD = Method(
    "Api/Forward",
    messages.ForwardRequest,
    messages.ForwardPart,
    roles=MANAGERS,
    is_streaming=True,
)
LEAVE = Method("Managers/Leave", messages.LeaveRequest, messages.Empty, roles=ANY_NODE)

ALL_METHODS: Sequence[Method[object, object]] = (
    SESSION,
    HEARTBEAT,
    ASSIGNMENTS,
    UPDATE_TASK_STATUS,
    ACKNOWLEDGE_VIEW,
    GOODBYE,
    REPORT_DIAGNOSIS,
    ATTACH,
    PLAIN_CONTAINERS,
    LOGS,
    PUBLISH_LOGS,
    RENEW_CERTIFICATE,
    RAFT_MESSAGES,
    RAFT_SNAPSHOT,
    RAFT_READ_INDEX,
    FORWARD,
    LEAVE,
)  # type: ignore[assignment]
