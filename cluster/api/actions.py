"""What requests that write are called in the audit log: as the commands that send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cluster.api.routing import Match

ACTIONS: Final[Mapping[tuple[str, str], str]] = {
    ("POST", "/services/create"): "service create",
    ("POST", "/services/{id}/update"): "service update",
    ("DELETE", "/services/{id}"): "service rm",
    ("POST", "/networks/create"): "network create",
    ("POST", "/networks/prune"): "network prune",
    ("DELETE", "/networks/{id}"): "network rm",
    ("POST", "/secrets/create"): "secret create",
    ("POST", "/secrets/{id}/update"): "secret update",
    ("DELETE", "/secrets/{id}"): "secret rm",
    ("POST", "/configs/create"): "config create",
    ("POST", "/configs/{id}/update"): "config update",
    ("DELETE", "/configs/{id}"): "config rm",
    ("POST", "/nodes/{id}/update"): "node update",
    ("DELETE", "/nodes/{id}"): "node rm",
    ("POST", "/swarm/init"): "cluster init",
    ("POST", "/swarm/update"): "cluster update",
    ("POST", "/stackyard/restore"): "cluster restore",
    ("POST", "/stackyard/tokens/create"): "token create",
    ("POST", "/stackyard/tokens/{id}/rotate"): "token rotate",
    ("DELETE", "/stackyard/tokens/{id}"): "token rm",
    ("POST", "/stacks/{name}/deploy"): "stack deploy",
    ("POST", "/stacks/{name}/rollback"): "stack rollback",
    ("DELETE", "/stacks/{name}/lease"): "stack unlock",
}

UNCALLED: Final = frozenset(
    {
        ("POST", "/containers/create"),
        ("POST", "/networks/{id}/connect"),
        ("POST", "/networks/{id}/disconnect"),
        ("POST", "/stackyard/backup"),
        ("POST", "/stackyard/diagnosis"),
        ("POST", "/stacks/{name}/lease"),
        ("POST", "/swarm/join"),
        ("POST", "/swarm/leave"),
        ("POST", "/swarm/unlock"),
    }
)
"""Requests that themselves change nothing that is noted: who joins and leaves is, by the leader."""


def action_of(method: str, match: Match, query: Mapping[str, str]) -> str:
    """Return what a request asks for, in the words of the command line."""
    if match.pattern == "/services/{id}/update" and query.get("rollback"):
        return "service rollback"
    return ACTIONS.get((method, match.pattern), f"{method} {match.pattern}")
