"""Finding the object that a user means: by ID, by name, by the beginning of its ID."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from cluster.errors import InvalidArgument, NotFound
from cluster.model.attachment import Attachment
from cluster.model.config import Config
from cluster.model.network import Network
from cluster.model.node import Node
from cluster.model.secret import Secret
from cluster.model.service import Service
from cluster.model.task import Task
from cluster.store.state import ClusterState
from cluster.store.table import Table

O = TypeVar("O", Node, Service, Task, Attachment, Network, Secret, Config)  # noqa: E741 - the one letter stands for "object"


def find_service(state: ClusterState, text: str) -> Service:
    """Return the service of that ID, name or beginning of an ID.

    Raises:
        NotFound: there is none.
        InvalidArgument: there are several.
    """
    return _find(state.services, text, state.services.find("name", text.lower()), "service")


def find_network(state: ClusterState, text: str) -> Network:
    """Return the cluster network of that ID, name or beginning of an ID.

    Raises:
        NotFound: there is none.
        InvalidArgument: there are several.
    """
    return _find(state.networks, text, state.networks.find("name", text.lower()), "network")


def find_secret(state: ClusterState, text: str) -> Secret:
    """Return the secret of that ID, name or beginning of an ID.

    Raises:
        NotFound: there is none.
        InvalidArgument: there are several.
    """
    return _find(state.secrets, text, state.secrets.find("name", text.lower()), "secret")


def find_config(state: ClusterState, text: str) -> Config:
    """Return the config of that ID, name or beginning of an ID.

    Raises:
        NotFound: there is none.
        InvalidArgument: there are several.
    """
    return _find(state.configs, text, state.configs.find("name", text.lower()), "config")


def find_node(state: ClusterState, text: str) -> Node:
    """Return the node of that ID, name, host name or beginning of an ID.

    Raises:
        NotFound: there is none.
        InvalidArgument: there are several.
    """
    named = [n for n in state.nodes if text and text in {n.spec.name, n.hostname}]
    return _find(state.nodes, text, named, "node")


def find_task(state: ClusterState, text: str) -> Task:
    """Return the task of that ID, name or beginning of an ID.

    Raises:
        NotFound: there is none.
        InvalidArgument: there are several.
    """
    exact = state.tasks.get(text)
    if exact is not None:
        return exact
    # Tasks have no index by name: it is worth a walk only for what can't be an ID.
    named = [t for t in state.tasks if t.name == text] if "." in text else []
    return _find(state.tasks, text, named, "task")


def find_task_or_attachment(state: ClusterState, text: str) -> Task | Attachment:
    """Return the task as `find_task` does, or a plain container's place in a network by its ID.

    Raises:
        NotFound: there is none.
        InvalidArgument: there are several.
    """
    try:
        return find_task(state, text)
    except NotFound:
        return _find(state.attachments, text, (), "task")


def _find(table: Table[O], text: str, named: Iterable[O], kind: str) -> O:
    exact = table.get(text)
    if exact is not None:
        return exact
    matches = list(named) or ([item for item in table if item.id.startswith(text)] if text else [])
    if not matches:
        raise NotFound(f"{kind} {text} not found")
    if len(matches) > 1:
        raise InvalidArgument(f"{kind} {text} is ambiguous ({len(matches)} matches found)")
    return matches[0]
