"""A secret: bytes that only the nodes of tasks which need them may hold, and never on disk."""

from __future__ import annotations

import msgspec

from cluster.model.container import Driver
from cluster.model.ids import SecretId
from cluster.model.meta import Meta
from cluster.model.spec_struct import Labels, ObjectStruct, SpecStruct


class SecretSpec(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A user's wish for a secret; of an accepted one, only name and labels ever change."""

    name: str = ""
    labels: Labels | None = None
    data: bytes = b""
    driver: Driver | None = None
    templating: Driver | None = None

    def __repr__(self) -> str:
        """Show everything but the data: this may end in a log or an error."""
        return f"SecretSpec(name={self.name!r}, data=<{len(self.data)} bytes>)"


class Secret(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="secret", tag_field="kind"):
    """A secret the cluster has accepted."""

    id: SecretId
    meta: Meta
    spec: SecretSpec

    def without_data(self) -> Secret:
        """Return the secret as it may be shown."""
        return msgspec.structs.replace(self, spec=msgspec.structs.replace(self.spec, data=b""))
