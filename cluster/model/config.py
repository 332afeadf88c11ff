"""A config: a file that tasks get without its being part of their image; unlike a secret, shown."""

from __future__ import annotations

from cluster.model.container import Driver
from cluster.model.ids import ConfigId
from cluster.model.meta import Meta
from cluster.model.spec_struct import Labels, ObjectStruct, SpecStruct


class ConfigSpec(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A user's wish for a config; of an accepted one, only name and labels ever change."""

    name: str = ""
    labels: Labels | None = None
    data: bytes = b""
    templating: Driver | None = None

    def __repr__(self) -> str:
        """Show everything but the data: configs often hold passwords all the same."""
        return f"ConfigSpec(name={self.name!r}, data=<{len(self.data)} bytes>)"


class Config(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="config", tag_field="kind"):
    """A config the cluster has accepted."""

    id: ConfigId
    meta: Meta
    spec: ConfigSpec
