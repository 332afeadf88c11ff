"""An Engine API that keeps stacks, with one that is told about as a test says."""

from __future__ import annotations

from typing import Any

from tests.unit.stack.engine_server import EngineServer, Failure


class StacksServer(EngineServer):
    """Notes deployments, and tells of the stack's last rollout and lease as it is told to.

    Attributes:
        deployments: bodies of the requests.
        rollouts: what is shown, one after the other, and then the last.
        lease: what is shown of who is deploying, if anybody is.
        history: the revisions, the newest first.
        refused_leases: how often somebody else still has the lease.
        asked_registries: images, in the order in which their registries were asked.
    """

    def __init__(self) -> None:
        super().__init__()
        self.deployments: list[dict[str, Any]] = []
        self.rollouts: list[dict[str, Any]] = [{}]
        self.lease: dict[str, str] = {}
        self.history: list[dict[str, Any]] = []
        self.refused_leases = 0
        self.asked_registries: list[str] = []

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        if "/distribution/" in path:
            self.asked_registries.append(path.partition("/distribution/")[2].removesuffix("/json"))
        if path.endswith("/stacks/shop/lease"):
            if method == "POST" and self.refused_leases:
                self.refused_leases -= 1
                raise Failure(409, "stack shop is being deployed by somebody else")
            return {"Token": "l1", "Until": ""} if method == "POST" else None
        if path.endswith("/stacks/shop/deploy"):
            self.deployments.append(body)
            ids = [f"s{number}" for number, _ in enumerate(body.get("Services", ()))]
            return {"Services": ids, "Revision": 5, "FormerRevision": 4, "IsWatched": True, "Warnings": []}  # fmt: skip
        if path.endswith("/stacks/shop/revisions"):
            return self.history
        if path.endswith("/stacks/shop"):
            rollout = self.rollouts.pop(0) if len(self.rollouts) > 1 else self.rollouts[0]
            shown = {"Name": "shop", "Revision": 5, "Rollout": rollout}
            return shown | ({"Lease": self.lease} if self.lease else {})
        return super().answer(method, path, query, body)
