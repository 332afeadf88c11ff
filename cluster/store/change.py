"""What a log entry holds: objects made, changed and deleted.

A change carries the whole object, versions and dates included, as the leader computed it, so
that applying it needs neither clock nor dice and gives the same state on every manager.
"""

from __future__ import annotations

from typing import Literal

from cluster.model.objects import StoredObject
from cluster.model.spec_struct import ObjectStruct

Kind = Literal[
    "cluster",
    "node",
    "service",
    "task",
    "network",
    "secret",
    "config",
    "stack",
    "stack revision",
    "attachment",
]


class Created(ObjectStruct, frozen=True, kw_only=False, gc=False, tag="created"):
    """A new object."""

    item: StoredObject


class Updated(ObjectStruct, frozen=True, kw_only=False, gc=False, tag="updated"):
    """An object in its new form."""

    item: StoredObject


class Deleted(ObjectStruct, frozen=True, kw_only=False, gc=False, tag="deleted"):
    """An object that is no more; `item` is its last form, for those who watch."""

    item: StoredObject


Change = Created | Updated | Deleted


class LogEntry(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """One atomic step of the store."""

    changes: tuple[Change, ...]
