"""The JSON of the Engine API that the client sends and reads, as far as it looks into it.

Members are those the client uses; servers send more.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict, TypeVar

Json = dict[str, Any]
"""A JSON object that is passed on whole, such as a service's spec."""


J = TypeVar("J")


def copied(value: J) -> J:
    """A copy of plain JSON values, several times as fast as `copy.deepcopy`."""
    if isinstance(value, dict):
        return {name: copied(member) for name, member in value.items()}  # type: ignore[return-value]
    if isinstance(value, list):
        return [copied(member) for member in value]  # type: ignore[return-value]
    return value


FileKind = Literal["secret", "config"]
"""What services get as files."""


class Version(TypedDict):
    """What an update must name to prove that it saw the newest object."""

    Index: int


class UpdateStatus(TypedDict, total=False):
    """How far a service's update has come."""

    State: str
    StartedAt: str
    Message: str


class ServiceStatus(TypedDict):
    """Counts that ``GET /services?status=true`` adds."""

    RunningTasks: int
    DesiredTasks: int
    CompletedTasks: NotRequired[int]  # of jobs


class JobStatus(TypedDict, total=False):
    """Which run of a job is the present one."""

    JobIteration: Json


class Service(TypedDict, total=False):
    """A service as listed."""

    ID: str
    Version: Version
    Spec: Json
    PreviousSpec: Json
    Endpoint: Json
    UpdateStatus: UpdateStatus
    ServiceStatus: ServiceStatus
    JobStatus: JobStatus


class TaskStatus(TypedDict, total=False):
    """What the agent saw of a task."""

    State: str
    Message: str
    Err: str
    Timestamp: str
    PortStatus: Json
    ContainerStatus: Json


class Task(TypedDict, total=False):
    """A task as listed."""

    ID: str
    Name: str
    Spec: Json
    ServiceID: str
    Slot: int
    NodeID: str
    Status: TaskStatus
    DesiredState: str
    CreatedAt: str
    JobIteration: Json


class Node(TypedDict, total=False):
    """A node as listed."""

    ID: str
    Version: Version
    Spec: Json
    Description: Json
    Status: Json
    ManagerStatus: Json


class Network(TypedDict, total=False):
    """A network as listed."""

    Id: str
    Name: str
    Driver: str
    Scope: str
    Labels: dict[str, str]


class Named(TypedDict, total=False):
    """A secret or config as listed."""

    ID: str
    Version: Version
    CreatedAt: str
    UpdatedAt: str
    Spec: Json
