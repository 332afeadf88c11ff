"""The audit log as the extension ``/stackyard/audit`` shows it."""

from __future__ import annotations

from typing import Any

from cluster.api.convert.timestamps import rfc3339
from cluster.model.audit import AuditEntry


def audit_json(entry: AuditEntry) -> dict[str, Any]:
    """Return an entry with all its members; those that do not apply are empty."""
    author = entry.author
    return {
        "ID": entry.id,
        "At": rfc3339(entry.meta.created_at),
        "Who": author.name,
        "Token": author.token_id,
        "Origin": author.origin,
        "Node": {"ID": author.node_id, "Hostname": entry.node},
        "Action": entry.action,
        "Stack": entry.stack,
        "Revision": entry.revision,
        "Changes": [
            {"Deed": one.deed, "Kind": one.kind, "Name": one.name, "Note": one.note}
            for one in entry.changes
        ],
        "LeftOut": entry.left_out,
        "Refusal": entry.refusal,
    }
