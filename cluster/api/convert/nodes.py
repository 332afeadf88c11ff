"""Nodes as the API shows them."""

from __future__ import annotations

from typing import Any

import msgspec

from cluster.api.convert.objects import common_members
from cluster.model.node import Node


def node_json(node: Node, *, is_leader: bool) -> dict[str, Any]:
    """Return a node as the API shows it."""
    shown = common_members(node.id, node.meta)
    shown["Spec"] = msgspec.to_builtins(node.spec)
    shown["Description"] = {} if node.description is None else msgspec.to_builtins(node.description)
    status: dict[str, str] = {"State": node.status.state}
    if node.status.message:
        status["Message"] = node.status.message
    if node.status.addr:
        status["Addr"] = node.status.addr
    shown["Status"] = status
    if node.manager_status is not None:
        manager: dict[str, Any] = {"Leader": True} if is_leader else {}
        manager["Reachability"] = reachability(node, is_leader=is_leader)
        manager["Addr"] = node.manager_status.addr
        shown["ManagerStatus"] = manager
    return shown


def node_in_short(node: Node) -> dict[str, Any]:
    """Return of a node what names it, and whether it is there."""
    return common_members(node.id, node.meta) | {
        "Spec": {"Role": node.spec.role, "Availability": node.spec.availability},
        "Description": {"Hostname": node.hostname},
        "Status": {"State": node.status.state},
    }


def reachability(node: Node, *, is_leader: bool) -> str:
    """Return whether a manager can be reached, in the words of the API."""
    if is_leader or node.status.state == "ready":
        return "reachable"
    return "unknown" if node.status.state == "unknown" else "unreachable"
