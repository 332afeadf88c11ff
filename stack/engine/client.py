"""The Engine API's cluster objects: list, create, update, remove."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from stack.engine.connection import Connection
from stack.engine.log_lines import LogLine, log_lines
from stack.engine.payloads import FileKind, Json, Named, Network, Node, Service, Task
from stack.errors import NotFound

Filters = Mapping[str, str | list[str]]
"""Filter name to the value, or to values of which one must fit."""

_LEASE = "X-Stackyard-Lease"


class EngineClient:
    """One method a request; names and IDs are taken alike, as the API does."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    def at(cls, host: str, token: str = "") -> Self:
        """A client of the endpoint that `host` and the process's environment name."""
        return cls(Connection.to(host, token))

    def another(self) -> EngineClient:
        """A client of the same endpoint with a connection of its own."""
        return EngineClient(self._connection.another())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def under_lease(self, token: str) -> None:
        """Send a stack's lease with all requests from now on, or with "" none."""
        self._connection.standing = {_LEASE: token} if token else {}

    # services and tasks

    def services(self, filters: Filters | None = None, *, status: bool = False) -> list[Service]:
        """All services that fit, with counts of tasks when `status`."""
        query = {"filters": _filters(filters), "status": "true" if status else None}
        return self._list("/services", query)

    def service(self, name: str) -> Service:
        """One service.

        Raises:
            NotFound: there is none of that name or ID.
        """
        found: Service = self._connection.request("GET", f"/services/{_part(name)}")
        return found

    def create_service(self, spec: Json, login: str = "") -> tuple[str, list[str]]:
        """Create a service; gives its ID and the server's warnings.

        `login` is the encoded login with which its nodes pull the image.
        """
        answer = self._connection.request(
            "POST", "/services/create", body=spec, headers=_login_header(login)
        )
        return answer["ID"], _warnings(answer)

    def update_service(
        self,
        service_id: str,
        version: int,
        spec: Json,
        login: str = "",
        *,
        rollback: str | None = None,
    ) -> list[str]:
        """Replace a service's spec, or with `rollback` "previous" return to the one before.

        Returns:
            The server's warnings.

        Without `login` the service keeps the one it has.

        Raises:
            OutOfSequence: `version` is not the newest.
        """
        path = f"/services/{_part(service_id)}/update"
        query = {"version": version, "rollback": rollback}
        answer = self._connection.request("POST", path, query, spec, _login_header(login))
        return _warnings(answer)

    def remove_service(self, name: str) -> None:
        """Remove a service and its tasks."""
        self._connection.request("DELETE", f"/services/{_part(name)}")

    def tasks(self, filters: Filters | None = None) -> list[Task]:
        """All tasks that fit."""
        return self._list("/tasks", {"filters": _filters(filters)})

    def task(self, name: str) -> Task:
        """One task.

        Raises:
            NotFound: there is none of that name or ID.
        """
        found: Task = self._connection.request("GET", f"/tasks/{_part(name)}")
        return found

    def logs(
        self,
        place: str,
        query: Mapping[str, object],
        *,
        framed: bool,
        moments: bool,
        patience_s: float | None = None,
    ) -> Iterator[LogLine]:
        """Iterate over lines of a log as they come; nothing else can be asked meanwhile.

        Args:
            place: "services/ID" or "tasks/ID".
            query: the parameters, with ``details``.
            framed: whether the containers have no terminal.
            moments: whether ``timestamps`` is among the parameters.
            patience_s: longest silence, in seconds; without it there may be any.
        """
        pieces = self._connection.stream(f"/{place}/logs", query, patience_s=patience_s)
        return log_lines(pieces, framed=framed, moments=moments)

    def distribution(self, image: str, login: str = "") -> Json:
        """What the image's registry says of it now, asked by the node's engine.

        Raises:
            EngineError: the registry refused, or does not answer.
        """
        path = f"/distribution/{quote(image, safe='/:@')}/json"
        found: Json = self._connection.request("GET", path, headers=_login_header(login))
        return found

    def image(self, name: str) -> Json:
        """An image as the engine of the manager has it.

        Raises:
            NotFound: it does not have it.
        """
        found: Json = self._connection.request("GET", f"/images/{quote(name, safe='/:@')}/json")
        return found

    # networks, secrets, configs

    def networks(self, filters: Filters | None = None) -> list[Network]:
        """All networks that fit."""
        return self._list("/networks", {"filters": _filters(filters)})

    def network(
        self, name: str, *, scope: str | None = None, verbose: bool = False
    ) -> Network | None:
        """One network, or None; `scope` "swarm" leaves those of a single node out.

        With `verbose` it has Services with their tasks, and Peers.
        """
        query = {"scope": scope, "verbose": "true" if verbose else None}
        try:
            found: Network = self._connection.request("GET", f"/networks/{_part(name)}", query)
        except NotFound:
            return None
        return found

    def create_network(self, request: Json) -> tuple[str, list[str]]:
        """Create a network; gives its ID and the server's warnings."""
        answer = self._connection.request("POST", "/networks/create", body=request)
        return answer["Id"], [answer["Warning"]] if answer.get("Warning") else []

    def remove_network(self, network_id: str) -> None:
        """Remove a network that nothing uses."""
        self._connection.request("DELETE", f"/networks/{_part(network_id)}")

    def secrets(self, filters: Filters | None = None) -> list[Named]:
        """All secrets that fit, without their data."""
        return self._list("/secrets", {"filters": _filters(filters)})

    def configs(self, filters: Filters | None = None) -> list[Named]:
        """All configs that fit."""
        return self._list("/configs", {"filters": _filters(filters)})

    def secret(self, name: str) -> Named:
        """One secret, without its data.

        Raises:
            NotFound: there is none of that name or ID.
        """
        found: Named = self._connection.request("GET", f"/secrets/{_part(name)}")
        return found

    def config(self, name: str) -> Named:
        """One config.

        Raises:
            NotFound: there is none of that name or ID.
        """
        found: Named = self._connection.request("GET", f"/configs/{_part(name)}")
        return found

    def create_file(self, kind: FileKind, request: Json) -> str:
        """Create a secret or config; gives its ID."""
        answer = self._connection.request("POST", f"/{kind}s/create", body=request)
        return str(answer["ID"])

    def update_file(self, kind: FileKind, object_id: str, version: int, request: Json) -> None:
        """Give a secret or config other labels.

        Raises:
            OutOfSequence: `version` is not the newest.
            EngineError: something else than the labels differs.
        """
        path = f"/{kind}s/{_part(object_id)}/update"
        self._connection.request("POST", path, {"version": version}, request)

    def remove_secret(self, secret_id: str) -> None:
        """Remove a secret that nothing uses."""
        self._connection.request("DELETE", f"/secrets/{_part(secret_id)}")

    def remove_config(self, config_id: str) -> None:
        """Remove a config that nothing uses."""
        self._connection.request("DELETE", f"/configs/{_part(config_id)}")

    # stacks, which only stackd keeps

    def stack(self, stack: str) -> Json:
        """A stack: its revision, services, lease, and what became of its last rollout.

        Raises:
            NotFound: there is no such stack, or the server keeps none.
        """
        found: Json = self._connection.request("GET", f"/stacks/{_part(stack)}")
        return found

    def stack_history(self, stack: str) -> list[Json]:
        """The kept revisions of a stack, the newest first.

        Raises:
            NotFound: there is no such stack, or the server keeps none.
        """
        return self._list(f"/stacks/{_part(stack)}/revisions", {})

    def stack_revision(self, stack: str, number: int) -> Json:
        """One revision with the specs of its services.

        Raises:
            NotFound: it is not kept.
        """
        path = f"/stacks/{_part(stack)}/revisions/{number}"
        found: Json = self._connection.request("GET", path)
        return found

    def deploy_stack(self, stack: str, request: Json) -> Json:
        """Make and change objects of a stack in one step; gives services, revision and warnings.

        Raises:
            OutOfSequence: a service has changed.
            Conflict: somebody else is deploying the stack, or a name is taken.
        """
        path = f"/stacks/{_part(stack)}/deploy"
        answer: Json = self._connection.request("POST", path, body=request)
        return answer

    def roll_back_stack(self, stack: str, request: Json) -> Json:
        """Return to a revision; answers and errors as with `deploy_stack`."""
        path = f"/stacks/{_part(stack)}/rollback"
        answer: Json = self._connection.request("POST", path, body=request)
        return answer

    def lease_stack(self, stack: str, holder: str, seconds: int, token: str = "") -> str:
        """Reserve a stack, or with its token go on; gives the token.

        Raises:
            Conflict: somebody else has it.
            NotFound: the server has no stacks.
        """
        request = {"Holder": holder, "Seconds": seconds, "Token": token}
        path = f"/stacks/{_part(stack)}/lease"
        return str(self._connection.request("POST", path, body=request)["Token"])

    def release_stack(self, stack: str, token: str) -> None:
        """Give a reservation back."""
        self._connection.request("DELETE", f"/stacks/{_part(stack)}/lease", {"token": token})

    def break_lease(self, stack: str) -> None:
        """End whoever's reservation of a stack."""
        self._connection.request("DELETE", f"/stacks/{_part(stack)}/lease", {"force": "true"})

    # deploy tokens

    def tokens(self) -> list[Json]:
        """All deploy tokens, without what proves them."""
        return self._list("/stackyard/tokens", {})

    def create_token(self, request: Json) -> str:
        """Make a deploy token; gives its text, which cannot be asked for again."""
        answer = self._connection.request("POST", "/stackyard/tokens/create", body=request)
        return str(answer["Token"])

    def rotate_token(self, name: str, request: Json) -> str:
        """Give a deploy token another secret; gives its new text."""
        path = f"/stackyard/tokens/{_part(name)}/rotate"
        return str(self._connection.request("POST", path, body=request)["Token"])

    def remove_token(self, name: str) -> None:
        """Remove a deploy token."""
        self._connection.request("DELETE", f"/stackyard/tokens/{_part(name)}")

    def audit(self, *, stack: str, since: str, limit: int) -> list[Json]:
        """Who changed what of the cluster, the newest first.

        Args:
            stack: only what is about this one; "" for all.
            since: only what is not older, in seconds since 1970; "" for all.
            limit: at most so many, 0 for all.
        """
        query = {"stack": stack, "since": since, "limit": str(limit or "")}
        return self._list("/stackyard/audit", {key: text for key, text in query.items() if text})

    # nodes

    def nodes(self) -> list[Node]:
        """All nodes."""
        return self._list("/nodes", {})

    def node(self, name: str) -> Node:
        """One node.

        Raises:
            NotFound: there is none of that name or ID.
        """
        found: Node = self._connection.request("GET", f"/nodes/{_part(name)}")
        return found

    def remove_node(self, node_id: str, *, force: bool) -> None:
        """Remove a node from the cluster; one that is not down only with `force`."""
        query = {"force": "1"} if force else {}
        self._connection.request("DELETE", f"/nodes/{_part(node_id)}", query)

    def update_node(self, node_id: str, version: int, spec: Json) -> None:
        """Replace a node's spec.

        Raises:
            OutOfSequence: `version` is not the newest.
        """
        path = f"/nodes/{_part(node_id)}/update"
        self._connection.request("POST", path, {"version": version}, spec)

    # the cluster

    def info(self) -> Json:
        """What the node says of itself; ``Swarm`` is its part in the cluster."""
        found: Json = self._connection.request("GET", "/info")
        return found

    def init_cluster(self, request: Json) -> str:
        """Make this node the first manager of a new cluster; gives its node ID."""
        node_id: str = self._connection.request("POST", "/swarm/init", body=request)
        return node_id

    def join_cluster(self, request: Json) -> None:
        """Make this node a member of the cluster that a token names."""
        self._connection.request("POST", "/swarm/join", body=request)

    def leave_cluster(self, *, force: bool) -> None:
        """Take this node out of its cluster."""
        self._connection.request("POST", "/swarm/leave", {"force": "1" if force else None})

    def cluster(self) -> Json:
        """The cluster, with its join tokens."""
        found: Json = self._connection.request("GET", "/swarm")
        return found

    def update_cluster(self, version: int, spec: Json, **rotate: bool) -> None:
        """Replace the cluster's spec; ``rotateWorkerToken=True`` and so on make new tokens."""
        query = {"version": version, **{name: str(value).lower() for name, value in rotate.items()}}
        self._connection.request("POST", "/swarm/update", query, spec)

    def diagnose(self) -> list[Json]:
        """What is wrong with the cluster, as all its nodes found out just now."""
        found: list[Json] = self._connection.request("POST", "/stackyard/diagnosis")
        return found

    def backup(self, passphrase: str) -> bytes:
        """A copy of the whole cluster, sealed with the passphrase."""
        content: bytes = self._connection.request(
            "POST", "/stackyard/backup", body={"Passphrase": passphrase}
        )
        return content

    def restore(self, content: bytes, request: Json) -> str:
        """Make this node the manager of the cluster in a backup; gives its node ID."""
        header = base64.urlsafe_b64encode(json.dumps(request).encode()).decode()
        node_id: str = self._connection.request(
            "POST", "/stackyard/restore", body=content, headers={"X-Stackyard-Restore": header}
        )
        return node_id

    def unlock_key(self) -> str:
        """The key that unlocks managers, "" if they do not lock themselves."""
        return str(self._connection.request("GET", "/swarm/unlockkey").get("UnlockKey", ""))

    def unlock(self, key: str) -> None:
        """Unlock the manager that answers."""
        self._connection.request("POST", "/swarm/unlock", body={"UnlockKey": key})

    def _list(self, path: str, query: Mapping[str, object]) -> list[Any]:
        return self._connection.request("GET", path, query) or []


def _filters(filters: Filters | None) -> dict[str, dict[str, bool]] | None:
    if not filters:
        return None
    return {
        name: dict.fromkeys([values] if isinstance(values, str) else values, True)
        for name, values in filters.items()
    }


def _login_header(login: str) -> dict[str, str]:
    return {"X-Registry-Auth": login} if login else {}


def _part(text: str) -> str:
    return quote(text, safe="")


def _warnings(answer: Any) -> list[str]:
    return list((answer or {}).get("Warnings") or [])
