"""What every reconciler returns."""

from __future__ import annotations

from cluster.model.objects import StoredObject
from cluster.model.spec_struct import ObjectStruct
from cluster.model.units import Timestamp


class Plan(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The steps that bring the state nearer to what is wanted, and when to look again.

    Objects are given whole; the transaction that carries the plan out sets versions and dates.
    An empty plan means that everything is as it should be.
    """

    create: tuple[StoredObject, ...] = ()
    update: tuple[StoredObject, ...] = ()
    delete: tuple[StoredObject, ...] = ()
    wake_at: Timestamp | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be changed now."""
        return not (self.create or self.update or self.delete)


NOTHING = Plan()
