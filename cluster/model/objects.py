"""The union of everything the store holds."""

from __future__ import annotations

from cluster.model.attachment import Attachment
from cluster.model.audit import AuditEntry
from cluster.model.cluster import Cluster
from cluster.model.config import Config
from cluster.model.network import Network
from cluster.model.node import Node
from cluster.model.secret import Secret
from cluster.model.service import Service
from cluster.model.stack import Stack, StackRevision
from cluster.model.task import Task
from cluster.model.token import DeployToken

StoredObject = (
    Cluster
    | Node
    | Service
    | Task
    | Network
    | Secret
    | Config
    | Stack
    | StackRevision
    | Attachment
    | DeployToken
    | AuditEntry
)
"""Told apart on the wire and on disk by their ``kind`` tag."""
