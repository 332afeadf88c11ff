"""What is wrong with the cluster: an operation of our own, which Docker's API does not have."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from cluster.api.context import ApiContext
from cluster.api.error_response import json_response
from cluster.api.request import ApiRequest
from cluster.api.routing import Route
from cluster.model.diagnosis import Finding


async def diagnose(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Have all nodes look for trouble, which takes some seconds, and say what they found."""
    del request
    return json_response([_json(finding) for finding in await api.node.diagnose()])


ROUTES = (Route("POST", "/stackyard/diagnosis", diagnose),)


def _json(finding: Finding) -> dict[str, Any]:
    return {
        "Severity": finding.severity,
        "Check": finding.check,
        "NodeID": finding.node_id,
        "Node": finding.node,
        "Text": finding.text,
        "Remedy": finding.remedy,
    }
