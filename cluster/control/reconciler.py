"""The port through which `control` knows the reconcilers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from cluster.model.ids import NewId
from cluster.model.units import Timestamp
from cluster.store.change import Change
from cluster.store.plan import Plan
from cluster.store.state import ClusterState


class Reconciler(Protocol):
    """A pure function from the state to a plan, one kind of key at a time.

    A change only tells *which* keys to look at again, never what to do.  Reconciling a key twice
    in a row gives an empty plan the second time.
    """

    @property
    def name(self) -> str:
        """A constant phrase for logs."""
        ...

    def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
        """Return the keys a change concerns; `state` is the one after the change."""
        ...

    def all_keys(self, state: ClusterState) -> Iterable[str]:
        """Return every key: what a new leader begins with."""
        ...

    def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
        """Return the steps that bring what `key` names nearer to what is wanted."""
        ...
