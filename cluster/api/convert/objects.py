"""What all objects of the API have in common: ID, version and dates."""

from __future__ import annotations

from typing import Any

from cluster.api.convert.timestamps import rfc3339
from cluster.model.meta import Meta


def common_members(object_id: str, meta: Meta) -> dict[str, Any]:
    """Return the members every object begins with."""
    return {
        "ID": object_id,
        "Version": {"Index": meta.version},
        "CreatedAt": rfc3339(meta.created_at),
        "UpdatedAt": rfc3339(meta.updated_at),
    }
