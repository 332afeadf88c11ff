"""Deploy tokens as the extension ``/stackyard/tokens`` shows them: never what proves them."""

from __future__ import annotations

from typing import Any

from cluster.api.convert.timestamps import rfc3339
from cluster.model.token import DeployToken


def token_json(token: DeployToken) -> dict[str, Any]:
    """Return a token without its digest."""
    return {
        "ID": token.id,
        "Name": token.name,
        "Stacks": list(token.stacks),
        "Allow": list(token.allowed),
        "Networks": list(token.networks),
        "CreatedAt": rfc3339(token.meta.created_at),
        "RotatedAt": rfc3339(token.meta.updated_at),
        "ExpiresAt": rfc3339(token.until) if token.until else "",
    }
