"""A small Engine API on a real unix socket, for tests of the client.

It keeps objects as sent, checks versions, and runs every task at once unless told otherwise.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]


class Failure(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message


class EngineServer:
    """State and answers; `requests` records what was asked that changes something."""

    def __init__(self) -> None:
        self.services: dict[str, Json] = {}
        self.findings: list[Json] = []  # of the doctor
        self.previous: dict[str, Json] = {}  # specs by the service's ID
        self.networks: dict[str, Json] = {}
        self.files: dict[str, list[Json]] = {"secrets": [], "configs": []}
        self.log = b""
        self.audit: list[Json] | None = None  # None for a server that has no such log
        self.log_queries: list[dict[str, str]] = []
        self.tasks: list[Json] = []
        self.nodes: list[Json] = [
            {
                "ID": "node1",
                "Version": {"Index": 5},
                "Spec": {"Role": "manager", "Availability": "active", "Labels": {}},
                "Description": {"Hostname": "alpha", "Engine": {"EngineVersion": "20.10"}},
                "Status": {"State": "ready"},
                "ManagerStatus": {"Leader": True, "Reachability": "reachable"},
            }
        ]
        self.cluster: Json = {
            "ID": "c1",
            "Version": {"Index": 1},
            "Spec": {"Name": "default"},
            "JoinTokens": {"Worker": "SWMTKN-1-w", "Manager": "SWMTKN-1-m"},
        }
        self.requests: list[str] = []
        self.bodies: list[Json] = []
        self.warnings: list[str] = []
        self.out_of_sequence_once = False
        self.refusal = ""  # why the cluster is not shown
        self.digests: dict[str, str] = {}  # what the registry has, "" for one that is away
        self.images: dict[str, list[str]] = {}  # what the engine has, with its digests
        self.logins: list[tuple[str, str]] = []  # path and X-Registry-Auth of what had one
        self.outcome: Callable[[Json], Json] = lambda spec: {"State": "running"}
        self._count = 0

    # what tests look at

    def url(self, folder: Path) -> str:
        return f"unix://{folder / 'engine.sock'}"

    # answers

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> Any:
        path = re.sub(r"^/v[0-9.]+", "", path)
        filters = {name: list(one) for name, one in json.loads(query.get("filters", "{}")).items()}
        if method != "GET" and not path.startswith("/stacks"):  # it has none, as Docker's
            self.requests.append(f"{method} {path}")
            self.bodies.append(body)
        match method, path.strip("/").split("/"):
            case "GET", ["_ping"]:
                return None
            case "GET", ["info"]:
                return {"Swarm": {"NodeID": "node1", "NodeAddr": "10.0.0.1", "ControlAvailable": True,
                                  "RemoteManagers": [{"NodeID": "node1", "Addr": "10.0.0.1:2377"}]}}  # fmt: skip
            case "GET", ["distribution", *name, "json"]:
                digest = self.digests.get("/".join(name), "sha256:" + "a" * 64)
                if not digest:
                    raise Failure(500, "connection refused")
                platform = {"architecture": "amd64", "os": "linux"}
                return {"Descriptor": {"digest": digest}, "Platforms": [platform]}
            case "GET", ["images", *name, "json"]:
                if "/".join(name) not in self.images:
                    raise Failure(404, f"No such image: {'/'.join(name)}")
                return {"RepoDigests": self.images["/".join(name)]}
            case "GET", ["services"]:
                return [
                    self._with_status(one)
                    for one in self.services.values()
                    if _labelled(one["Spec"], filters)
                ]
            case "GET", ["services", name]:
                return self._service(name)
            case "POST", ["services", "create"]:
                return self._create_service(body)
            case "POST", ["services", name, "update"]:
                if query.get("rollback") == "previous":
                    body = self.previous[self._service(name)["ID"]]
                answer = self._update_service(name, int(query["version"]), body)
                if query.get("rollback") == "previous":
                    update = {"State": "rollback_completed", "StartedAt": query["version"]}
                    self._service(name)["UpdateStatus"] = update
                return answer
            case "DELETE", ["services", name]:
                found = self._service(name)
                del self.services[found["ID"]]
                self.tasks = [task for task in self.tasks if task["ServiceID"] != found["ID"]]
                return None
            case "GET", ["tasks"]:
                return [task for task in self.tasks if self._fits(task, filters)]
            case "GET", ["networks"]:
                return [one for one in self.networks.values() if _labelled(one, filters)]
            case "GET", ["networks", name]:
                return self._network(name)
            case "POST", ["networks", "create"]:
                identifier = self._new_id("n")
                self.networks[identifier] = {**body, "Id": identifier, "Scope": "swarm"}
                return {"Id": identifier, "Warning": ""}
            case "DELETE", ["networks", name]:
                del self.networks[self._network(name)["Id"]]
                return None
            case "GET", ["secrets" | "configs" as kind]:
                return [_shown(kind, o) for o in self.files[kind] if _labelled(o["Spec"], filters)]
            case "GET", ["secrets" | "configs" as kind, name]:
                return _shown(kind, self._file(kind, name))
            case "POST", ["secrets" | "configs" as kind, "create"]:
                made = {"ID": self._new_id(kind[0]), "Version": {"Index": 3}, "Spec": body}
                self.files[kind].append(made)
                return {"ID": made["ID"]}
            case "POST", ["secrets" | "configs" as kind, name, "update"]:
                return self._update_file(self._file(kind, name), int(query["version"]), body)
            case "DELETE", ["secrets" | "configs" as kind, name]:
                self.files[kind].remove(self._file(kind, name))
                return None
            case "GET", ["services" | "tasks" as kind, name, "logs"]:
                self.log_queries.append({**query, "of": f"{kind}/{name}"})
                return self.log
            case "GET", ["tasks", name]:
                for task in self.tasks:
                    if task["ID"] == name:
                        return task
                raise Failure(404, f"task {name} not found")
            case "GET", ["nodes"]:
                return self.nodes
            case "GET", ["nodes", name]:
                return self._node(name)
            case "POST", ["nodes", name, "update"]:
                node = self._node(name)
                if int(query["version"]) != node["Version"]["Index"]:
                    raise Failure(500, "rpc error: code = Unknown desc = update out of sequence")
                node["Spec"], node["Version"] = body, {"Index": node["Version"]["Index"] + 1}
                return None
            case "GET", ["swarm"]:
                if self.refusal:
                    raise Failure(503, self.refusal)
                return self.cluster
            case "GET", ["stackyard", "audit"] if self.audit is not None:
                self.log_queries.append(query)
                return self.audit
            case "POST", ["stackyard", "diagnosis"]:
                return self.findings
            case "POST", ["swarm", "init"]:
                return "node1"
            case "POST", ["swarm", "join"]:
                if body["JoinToken"] != "SWMTKN-1-w":
                    raise Failure(500, "invalid join token")
                return None
            case "POST", ["swarm", "leave"]:
                if query.get("force") != "1":
                    raise Failure(503, "this is the last manager")
                return None
            case "POST", ["swarm", "update"]:
                if query.get("rotateWorkerToken") == "true":
                    self.cluster["JoinTokens"]["Worker"] = "SWMTKN-1-new"
                if int(query["version"]) != self.cluster["Version"]["Index"]:
                    raise Failure(500, "rpc error: code = Unknown desc = update out of sequence")
                self.cluster["Spec"] = body
                return None
        raise Failure(404, "page not found")

    def _new_id(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    def _service(self, name: str) -> Json:
        for one in self.services.values():
            if name in (one["ID"], one["Spec"]["Name"]):
                return one
        raise Failure(404, f"service {name} not found")

    def _file(self, kind: str, name: str) -> Json:
        for one in self.files[kind]:
            if name in (one["ID"], one["Spec"]["Name"]):
                return one
        raise Failure(404, f"{kind[:-1]} {name} not found")

    def _update_file(self, found: Json, version: int, body: Json) -> None:
        if self.out_of_sequence_once:
            self.out_of_sequence_once = False
            found["Version"] = {"Index": found["Version"]["Index"] + 1}
        if body.get("Data") not in (None, found["Spec"]["Data"]):
            raise Failure(400, "only updates to Labels are allowed")
        if version != found["Version"]["Index"]:
            raise Failure(500, "update out of sequence")
        found["Spec"] = {**found["Spec"], "Labels": body["Labels"]}

    def _network(self, name: str) -> Json:
        for one in self.networks.values():
            if name in (one["Id"], one["Name"]):
                return one
        raise Failure(404, f"network {name} not found")

    def _node(self, name: str) -> Json:
        found = [one for one in self.nodes if name in (one["ID"], one["Description"]["Hostname"])]
        if len(found) > 1:
            raise Failure(400, f"node {name} is ambiguous ({len(found)} matches found)")
        if not found:
            raise Failure(404, f"node {name} not found")
        return found[0]

    def _create_service(self, spec: Json) -> Json:
        if any(one["Spec"]["Name"] == spec["Name"] for one in self.services.values()):
            raise Failure(409, f"rpc error: code = AlreadyExists desc = name {spec['Name']} exists")
        identifier = self._new_id("s")
        self.services[identifier] = {
            "ID": identifier, "Version": {"Index": 10}, "Spec": self._stored(spec),
        }  # fmt: skip
        self._start(identifier, spec)
        return {"ID": identifier, "Warnings": self.warnings or None}

    def _update_service(self, name: str, version: int, spec: Json) -> Json:
        found = self._service(name)
        if self.out_of_sequence_once:
            self.out_of_sequence_once = False
            found["Version"] = {"Index": found["Version"]["Index"] + 1}
        if version != found["Version"]["Index"]:
            raise Failure(500, "rpc error: code = Unknown desc = update out of sequence")
        self.previous[found["ID"]] = found["Spec"]
        found["Spec"], found["Version"] = self._stored(spec), {"Index": version + 1}
        for task in self.tasks:
            if task["ServiceID"] == found["ID"]:
                task["old"], task["DesiredState"], task["Status"] = (
                    True,
                    "shutdown",
                    {"State": "shutdown"},
                )
        self._start(found["ID"], spec)
        return {"Warnings": self.warnings or None}

    def _stored(self, spec: Json) -> Json:
        """A spec with what a real server adds."""
        spec = json.loads(json.dumps(spec))
        template = spec["TaskTemplate"]
        template["Runtime"] = "container"
        template["ContainerSpec"]["Isolation"] = "default"
        template["ContainerSpec"].pop("Privileges", None)
        for attachment in template.get("Networks", []):
            attachment["Target"] = self._network(attachment["Target"])["Id"]
        if "Replicated" in spec["Mode"]:
            spec["Mode"]["Replicated"].setdefault("Replicas", 1)
        return spec

    def _start(self, service_id: str, spec: Json) -> None:
        replicated = spec["Mode"].get("Replicated")
        count = 1 if replicated is None else replicated.get("Replicas", 1)
        for slot in range(1, count + 1):
            self.tasks.append(
                {
                    "ID": self._new_id("t"),
                    "ServiceID": service_id,
                    "Slot": slot,
                    "NodeID": "node1",
                    "Spec": spec["TaskTemplate"],
                    "Status": self.outcome(spec),
                    "DesiredState": "running",
                    "CreatedAt": f"2026-01-01T00:00:0{self._count % 10}Z",
                }
            )

    def _with_status(self, service: Json) -> Json:
        tasks = [
            task
            for task in self.tasks
            if task["ServiceID"] == service["ID"] and not task.get("old")
        ]
        running = sum(1 for task in tasks if task["Status"]["State"] == "running")
        return {**service, "ServiceStatus": {"RunningTasks": running, "DesiredTasks": len(tasks)}}

    def _fits(self, task: Json, filters: dict[str, list[str]]) -> bool:
        if "id" in filters and task["ID"] not in filters["id"]:
            return False
        if "service" in filters and task["ServiceID"] not in filters["service"]:
            return False
        if "_up-to-date" in filters and task.get("old"):
            return False
        service = self.services.get(task["ServiceID"])
        return "label" not in filters or (
            service is not None and _labelled(service["Spec"], filters)
        )


def _shown(kind: str, item: Json) -> Json:
    """A secret without its data, as the API shows it."""
    spec = {
        name: value for name, value in item["Spec"].items() if (kind, name) != ("secrets", "Data")
    }
    return {**item, "Spec": spec}


def _labelled(item: Json, filters: dict[str, list[str]]) -> bool:
    labels = item.get("Labels") or {}
    return all(
        labels.get(text.partition("=")[0], None) is not None
        and text.partition("=")[2] in ("", labels[text.partition("=")[0]])
        for text in filters.get("label", [])
    )


@contextmanager
def serving(engine: EngineServer, folder: Path) -> Iterator[str]:
    """Serve on a socket in `folder`; gives the value for -H."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._handle()

        def do_POST(self) -> None:
            self._handle()

        def do_DELETE(self) -> None:
            self._handle()

        def _handle(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if login := self.headers.get("X-Registry-Auth"):
                engine.logins.append((parts.path, login))
            status = 200
            try:
                found = engine.answer(self.command, parts.path, query, json.loads(data or b"{}"))
            except Failure as failure:
                status, found = failure.status, {"message": failure.message}
            body = b"" if found is None else found
            if not isinstance(body, bytes):
                body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Api-Version", "1.41")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if body:  # even an empty write fails when the client has its answer and is gone
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingMixIn, UnixStreamServer):
        daemon_threads = True

        def get_request(self) -> Any:
            connection, _ = super().get_request()
            return connection, ("client", 0)

    path = folder / "engine.sock"
    with Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
            thread.join()
