"""What every stored object carries: its version and its dates."""

from __future__ import annotations

from cluster.model.spec_struct import ObjectStruct
from cluster.model.units import Timestamp


class Meta(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Version and dates of a stored object.

    `version` is the store revision of the object's last change that a *user* could conflict with:
    a change of the spec for clusters, nodes, services and networks, any change for tasks.  It is
    what the API shows as ``Version.Index`` and what an update must name.
    """

    version: int = 0
    created_at: Timestamp = Timestamp(0)
    updated_at: Timestamp = Timestamp(0)
