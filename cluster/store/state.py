"""The state of the cluster at one revision, as a value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from immutables import Map

from cluster.model.attachment import Attachment
from cluster.model.audit import AuditEntry
from cluster.model.cluster import Cluster
from cluster.model.config import Config
from cluster.model.endpoint import PortConfig
from cluster.model.extensions import dependencies_of
from cluster.model.ids import ConfigId, NetworkId, NodeId, SecretId, ServiceId, TaskId
from cluster.model.network import Network
from cluster.model.node import Node
from cluster.model.objects import StoredObject
from cluster.model.secret import Secret
from cluster.model.service import Service
from cluster.model.stack import Stack, StackRevision
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.token import DeployToken
from cluster.store.change import Change, Deleted
from cluster.store.table import Table


def _task_keys_by_service(task: Task) -> tuple[str, ...]:
    return (task.service_id,)


def _task_keys_by_node(task: Task) -> tuple[str, ...]:
    return (task.node_id,) if task.node_id else ()


PREPARED: Final = "prepared"
"""Key of the index `load`: tasks on their nodes that may not run yet."""


def carried_key(node_id: NodeId) -> str:
    """Return the key of the index `load` for the unfinished tasks of a node."""
    return "c" + node_id


def wanted_key(node_id: NodeId) -> str:
    """Return the key of the index `load` for those of them that are wanted."""
    return "w" + node_id


def place_key(service_id: ServiceId, place: int | str) -> str:
    """Return the key of the index `load` for the unfinished tasks of a slot that have a node."""
    return f"s{service_id} {place}"


def _task_keys_by_load(task: Task) -> tuple[str, ...]:
    if not TaskState.ASSIGNED <= task.status.state <= TaskState.RUNNING:
        return ()
    place = place_key(task.service_id, task.place)
    node_id = task.node_id
    if task.desired_state is TaskState.READY:
        return (place, "c" + node_id, "w" + node_id, PREPARED)
    if task.is_wanted:
        return (place, "c" + node_id, "w" + node_id)
    return (place, "c" + node_id)


def _task_keys_by_move(task: Task) -> tuple[str, ...]:
    return ("",) if task.is_moving else ()


def _task_keys_by_stage(task: Task) -> tuple[str, ...]:
    return (task.status.state.name,)


def _task_keys_by_network(task: Task) -> tuple[str, ...]:
    """An ended task has given its addresses back."""
    if not task.networks or task.status.state.is_terminal:
        return ()
    return tuple(attachment.network_id for attachment in task.networks)


def _service_keys_by_address(service: Service) -> tuple[str, ...]:
    return tuple(ip.network_id for ip in service.endpoint.virtual_ips)


def _service_keys_by_port(service: Service) -> tuple[str, ...]:
    return tuple(port_key(port) for port in service.endpoint.ports if port.publish_mode != "host")


def _service_keys_by_host_port(service: Service) -> tuple[str, ...]:
    spec = service.spec.endpoint_spec
    return tuple(
        port_key(port)
        for port in (spec.ports if spec else ())
        if port.publish_mode == "host" and port.published_port
    )


def port_key(port: PortConfig) -> str:
    """Return the key of a published port in the indexes `port` (on all nodes) and `host port`."""
    return f"{port.published_port}/{port.protocol or 'tcp'}"


def _name_keys(item: Service | Network | Secret | Config) -> tuple[str, ...]:
    return (item.spec.name.lower(),)


def _service_keys_by_network(service: Service) -> tuple[str, ...]:
    return tuple(sorted({n.target for n in service.spec.task_template.networks}))


def _service_keys_by_secret(service: Service) -> tuple[str, ...]:
    container = service.spec.task_template.container_spec
    return tuple(sorted({r.secret_id for r in container.secrets})) if container else ()


def _service_keys_by_config(service: Service) -> tuple[str, ...]:
    container = service.spec.task_template.container_spec
    return tuple(sorted({r.config_id for r in container.configs})) if container else ()


def _service_keys_by_dependency(service: Service) -> tuple[str, ...]:
    return tuple(sorted({name.lower() for name in dependencies_of(service.spec.labels)}))


def _stack_keys(stack: Stack) -> tuple[str, ...]:
    return (stack.name,)


def _token_keys(token: DeployToken) -> tuple[str, ...]:
    return (token.name,)


def _audit_keys_by_token(entry: AuditEntry) -> tuple[str, ...]:
    token_id = entry.author.token_id
    return (token_id,) if token_id and not entry.refusal else ()


def _audit_keys_by_refused(entry: AuditEntry) -> tuple[str, ...]:
    return (entry.author.token_id,) if entry.refusal else ()


def _revision_keys_by_stack(revision: StackRevision) -> tuple[str, ...]:
    return (revision.stack,)


def _revision_keys_by_secret(revision: StackRevision) -> tuple[str, ...]:
    return tuple(sorted(set(revision.secrets)))


def _revision_keys_by_config(revision: StackRevision) -> tuple[str, ...]:
    return tuple(sorted(set(revision.configs)))


def _attachment_keys_by_network(attachment: Attachment) -> tuple[str, ...]:
    return (attachment.network_id,)


def _attachment_keys_by_node(attachment: Attachment) -> tuple[str, ...]:
    return (attachment.node_id,)


_TABLES: dict[type, Any] = {
    Cluster: {},
    Node: {},
    Service: {
        "name": _name_keys,
        "network": _service_keys_by_network,
        "address": _service_keys_by_address,
        "port": _service_keys_by_port,
        "host port": _service_keys_by_host_port,
        "secret": _service_keys_by_secret,
        "config": _service_keys_by_config,
        "dependency": _service_keys_by_dependency,
    },
    Task: {
        "service": _task_keys_by_service,
        "node": _task_keys_by_node,
        "state": _task_keys_by_stage,
        "load": _task_keys_by_load,
        "move": _task_keys_by_move,
        "network": _task_keys_by_network,
    },
    Network: {"name": _name_keys},
    Secret: {"name": _name_keys},
    Config: {"name": _name_keys},
    Stack: {"name": _stack_keys},
    StackRevision: {
        "stack": _revision_keys_by_stack,
        "secret": _revision_keys_by_secret,
        "config": _revision_keys_by_config,
    },
    Attachment: {"network": _attachment_keys_by_network, "node": _attachment_keys_by_node},
    DeployToken: {"name": _token_keys},
    AuditEntry: {"token": _audit_keys_by_token, "refused": _audit_keys_by_refused},
}


class ClusterState:
    """All tables at one revision; immutable, so it can be read by anybody at any time.

    `revision` counts the log entries applied so far.  It is the same on every manager at the same
    entry and, unlike the index in the Raft log, it is known to the leader before it proposes.
    """

    __slots__ = ("_tables", "revision")

    def __init__(self, revision: int = 0, tables: Map[type, Table[Any]] | None = None) -> None:
        """Make a state; without arguments the empty one that every cluster starts from."""
        self.revision = revision
        self._tables: Map[type, Table[Any]] = (
            Map({kind: Table(keys) for kind, keys in _TABLES.items()}) if tables is None else tables
        )

    # -- lookups -----------------------------------------------------------------------------

    @property
    def clusters(self) -> Table[Cluster]:
        """The table with the one cluster object."""
        return self._tables[Cluster]

    @property
    def nodes(self) -> Table[Node]:
        """All nodes."""
        return self._tables[Node]

    @property
    def services(self) -> Table[Service]:
        """All services; indexes: name and dependency (lower case), network, secret, config.

        Further ones: `port`, and `address`, which
        has the services with a virtual IP in a network, by its ID.
        """
        return self._tables[Service]

    @property
    def tasks(self) -> Table[Task]:
        """All tasks; indexes: service, node, state (by name: PENDING), load (`carried_key`).

        A further one, `network`, has those that hold an address in a network, by its ID.
        """
        return self._tables[Task]

    @property
    def networks(self) -> Table[Network]:
        """All networks; index: name (lower case)."""
        return self._tables[Network]

    @property
    def secrets(self) -> Table[Secret]:
        """All secrets; index: name (lower case)."""
        return self._tables[Secret]

    @property
    def configs(self) -> Table[Config]:
        """All configs; index: name (lower case)."""
        return self._tables[Config]

    @property
    def stacks(self) -> Table[Stack]:
        """All stacks that were deployed as such; index: name."""
        return self._tables[Stack]

    @property
    def revisions(self) -> Table[StackRevision]:
        """The kept revisions of all stacks; indexes: stack (by name), secret, config."""
        return self._tables[StackRevision]

    @property
    def attachments(self) -> Table[Attachment]:
        """Places of plain containers in networks; indexes: network, node."""
        return self._tables[Attachment]

    @property
    def tokens(self) -> Table[DeployToken]:
        """All deploy tokens; index: name."""
        return self._tables[DeployToken]

    @property
    def audit(self) -> Table[AuditEntry]:
        """The audit log, the oldest entry first; indexes by a token's ID: token, refused."""
        return self._tables[AuditEntry]

    @property
    def cluster(self) -> Cluster | None:
        """The cluster object, None before the cluster is made."""
        return next(iter(self.clusters), None)

    def node(self, node_id: NodeId) -> Node | None:
        """Return the node of that ID, or None."""
        return self.nodes.get(node_id)

    def service(self, service_id: ServiceId) -> Service | None:
        """Return the service of that ID, or None."""
        return self.services.get(service_id)

    def task(self, task_id: TaskId) -> Task | None:
        """Return the task of that ID, or None."""
        return self.tasks.get(task_id)

    def network(self, network_id: NetworkId) -> Network | None:
        """Return the network of that ID, or None."""
        return self.networks.get(network_id)

    def secret(self, secret_id: SecretId) -> Secret | None:
        """Return the secret of that ID, or None."""
        return self.secrets.get(secret_id)

    def config(self, config_id: ConfigId) -> Config | None:
        """Return the config of that ID, or None."""
        return self.configs.get(config_id)

    def tasks_of_service(self, service_id: ServiceId) -> list[Task]:
        """Return the service's tasks, sorted by ID."""
        return self.tasks.find("service", service_id)

    def tasks_of_node(self, node_id: NodeId) -> list[Task]:
        """Return the tasks given to the node, sorted by ID."""
        return self.tasks.find("node", node_id)

    def service_by_name(self, name: str) -> Service | None:
        """Return the service of that name (case does not matter), or None."""
        return next(iter(self.services.find("name", name.lower())), None)

    def network_by_name(self, name: str) -> Network | None:
        """Return the network of that name (case does not matter), or None."""
        return next(iter(self.networks.find("name", name.lower())), None)

    def stack_by_name(self, name: str) -> Stack | None:
        """Return the stack of that name, or None."""
        return next(iter(self.stacks.find("name", name)), None)

    def revisions_of(self, stack: str) -> list[StackRevision]:
        """Return the kept revisions of a stack, the oldest first."""
        return sorted(self.revisions.find("stack", stack), key=lambda one: one.number)

    def table_of(self, item: StoredObject) -> Table[Any]:
        """Return the table that holds objects of the kind of `item`."""
        return self._tables[type(item)]

    def everything(self) -> Iterable[StoredObject]:
        """Iterate over all objects, in a fixed order."""
        for kind in _TABLES:
            yield from self._tables[kind]

    # -- the next state ----------------------------------------------------------------------

    def apply(self, changes: Iterable[Change]) -> ClusterState:
        """Return the state after one log entry."""
        return self.preview(changes, self.revision + 1)

    def preview(self, changes: Iterable[Change], revision: int) -> ClusterState:
        """Return the state with `changes` made and a given revision."""
        tables = self._tables
        for change in changes:
            kind = type(change.item)
            table = tables[kind]
            table = (
                table.remove(change.item.id)
                if isinstance(change, Deleted)
                else table.put(change.item)
            )
            tables = tables.set(kind, table)
        return ClusterState(revision, tables)
