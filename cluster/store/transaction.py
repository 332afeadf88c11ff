"""A read-your-writes view of the state that collects changes."""

from __future__ import annotations

from typing import Any

import msgspec

from cluster.errors import AlreadyExists, NotFound, OutOfSequence
from cluster.model.attachment import Attachment
from cluster.model.audit import AuditEntry
from cluster.model.config import Config
from cluster.model.meta import Meta
from cluster.model.network import Network
from cluster.model.objects import StoredObject
from cluster.model.secret import Secret
from cluster.model.service import Service
from cluster.model.stack import Stack, StackRevision
from cluster.model.task import Task
from cluster.model.token import DeployToken
from cluster.model.units import Timestamp
from cluster.store.change import Change, Created, Deleted, Updated
from cluster.store.plan import Plan
from cluster.store.state import ClusterState


class Transaction:
    """One atomic step in the making.

    `state` already shows the changes made so far.  All of them get the revision that the step
    will have, so the state after the commit is known before it.
    """

    def __init__(self, base: ClusterState, now: Timestamp) -> None:
        """Start from `base`; `now` dates the changes."""
        self.now = now
        self.revision = base.revision + 1
        self._base = base
        self._state = base
        self._changes: dict[tuple[type, str], Change] = {}

    @property
    def state(self) -> ClusterState:
        """The state with this transaction's changes."""
        return self._state

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes so far, at most one an object, in the order of their first mention."""
        return tuple(self._changes.values())

    def create(self, item: StoredObject) -> None:
        """Add a new object.

        Raises:
            AlreadyExists: its ID, or the name among its kind, is taken.
        """
        if item.id in self._state.table_of(item):
            raise AlreadyExists(f"object {item.id} already exists")
        self._check_name(item)
        meta = Meta(version=self.revision, created_at=self.now, updated_at=self.now)
        self._record(Created(msgspec.structs.replace(item, meta=meta)))

    def update(self, item: StoredObject, *, expected_version: int | None = None) -> None:
        """Put an object in place of its former self; an equal one changes nothing.

        Args:
            item: the object in its new form; its `meta` is ignored.
            expected_version: the version the caller read, where a user might be overruled. What
                a user has written gets a new one, even if it is equal.

        Raises:
            NotFound: no object of that ID.
            OutOfSequence: the object's version is another.
        """
        old: Any = self._state.table_of(item).get(item.id)
        if old is None:
            raise NotFound(f"{type(item).__name__.lower()} {item.id} not found")
        if expected_version is not None and old.meta.version != expected_version:
            raise OutOfSequence
        is_users = expected_version is not None
        if not is_users and msgspec.structs.replace(item, meta=old.meta) == old:
            return
        self._check_name(item)
        is_new = is_users or _users_could_conflict(old, item)
        version = self.revision if is_new else old.meta.version
        meta = Meta(version=version, created_at=old.meta.created_at, updated_at=self.now)
        self._record(Updated(msgspec.structs.replace(item, meta=meta)))

    def delete(self, item: StoredObject) -> None:
        """Remove an object.

        Raises:
            NotFound: no object of that ID.
        """
        old: Any = self._state.table_of(item).get(item.id)
        if old is None:
            raise NotFound(f"{type(item).__name__.lower()} {item.id} not found")
        self._record(Deleted(old))

    def carry_out(self, plan: Plan) -> None:
        """Make the changes of a reconciler's plan."""
        for item in plan.delete:
            self.delete(item)
        for item in plan.update:
            self.update(item)
        for item in plan.create:
            self.create(item)

    def _check_name(self, item: StoredObject) -> None:
        if not isinstance(item, Service | Network | Secret | Config):
            return
        table: Any = self._state.table_of(item)
        for other in table.find("name", item.spec.name.lower()):
            if other.id != item.id:
                raise AlreadyExists(_name_taken(item))

    def _record(self, change: Change) -> None:
        key = (type(change.item), change.item.id)
        self._state = self._state.preview((change,), self._base.revision)
        earlier = self._changes.get(key)
        match earlier, change:
            case Created(), Updated():
                change = Created(change.item)
            case Created(), Deleted():
                del self._changes[key]
                return
            case Deleted(), Created():
                change = Updated(change.item)
            case _:
                pass
        self._changes[key] = change


def _name_taken(item: Service | Network | Secret | Config) -> str:
    match item:
        case Service():
            return (
                f"name conflicts with an existing object: service {item.spec.name} already exists"
            )
        case Network():
            return f"network with name {item.spec.name} already exists"
        case Secret():
            return f"secret {item.spec.name} already exists"
        case Config():
            return f"config {item.spec.name} already exists"


def _users_could_conflict(old: Any, new: Any) -> bool:
    """Whether the change is one that a user's read-modify-write must not overrule unseen."""
    if isinstance(new, Task | Stack | StackRevision | Attachment | DeployToken | AuditEntry):
        return True
    if isinstance(new, Service):
        return bool(old.spec != new.spec or old.previous_spec != new.previous_spec)
    return bool(old.spec != new.spec)
