"""Records what Docker's own client sends for a compose file: `docker stack deploy` against an engine
that accepts everything and does nothing.

    python -m tests.compat.stack_recorder [NAME...]

runs the `docker` on PATH for each folder or file below tests/compat/stack and writes the bodies of
its create requests beside it as JSON.  tests/compat/test_stack_requests.py compares ours with them.
"""

from __future__ import annotations

import json
import os
import re
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

FOLDER = Path(__file__).parent / "stack"
STACK = "st"
API_VERSION = "1.50"

Json = dict[str, Any]


class Answers:
    """What the engine answers; creations are kept, in the order of their arrival."""

    def __init__(self) -> None:
        self.networks: list[Json] = []
        self.secrets: list[Json] = []
        self.configs: list[Json] = []
        self.services: list[Json] = []

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        path = re.sub(r"^/v[\d.]+", "", path)
        match method, path.strip("/").split("/"):
            case _, ["_ping"]:
                return 200, "OK"
            case "GET", ["info"]:
                return 200, {"Swarm": {"LocalNodeState": "active", "ControlAvailable": True}}
            case "GET", ["networks" | "services"]:
                return 200, []
            case "GET", ["networks", name]:
                return 200, {"Name": name, "Id": f"id-{name}", "Scope": "swarm"}
            case "POST", ["networks", "create"]:
                self.networks.append(body)
                return 201, {"Id": f"id-{body['Name']}", "Warning": ""}
            case "POST", ["services", "create"]:
                self.services.append(body)
                return 201, {"ID": f"id-{body['Name']}"}
            case "POST", ["secrets" | "configs" as kind, "create"]:
                getattr(self, kind).append(body)
                return 201, {"ID": f"id-{body['Name']}"}
            case "GET", ["secrets" | "configs" as kind]:
                made = getattr(self, kind)
                return 200, [{"ID": f"id-{spec['Name']}", "Spec": spec} for spec in made]
        return 404, {"message": f"not found: {path}"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: ClassVar[Answers]

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        path = unquote(urlsplit(self.path).path)
        status, answer = self.answers.answer(self.command, path, body)
        payload = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Api-Version", API_VERSION)
        self.send_header("Ostype", "linux")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    do_GET = do_POST = do_HEAD = _serve  # noqa: N815 (the library's names)

    def log_message(self, *_arguments: object) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def record(files: Iterable[Path], environment: dict[str, str] | None = None) -> Json:
    """Deploy files with the docker client; gives the bodies of its requests, or its error."""
    answers = Answers()
    handler = type("Handler", (_Handler,), {"answers": answers})
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/engine.sock"
        with _Server(address, handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            options = [option for file in files for option in ("-c", file.name)]
            ended = subprocess.run(
                [
                    "docker",
                    "stack",
                    "deploy",
                    "--resolve-image",
                    "never",
                    "--detach=true",
                    *options,
                    STACK,
                ],
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": folder,
                    "DOCKER_HOST": f"unix://{address}",
                    **(environment or {}),
                },
                cwd=next(iter(files)).parent,
                capture_output=True,
                text=True,
                check=False,
            )
            server.shutdown()
    if ended.returncode:
        return {"error": ended.stderr.strip()}
    recorded = {
        kind: sorted(getattr(answers, kind), key=lambda body: str(body["Name"]))
        for kind in ("networks", "secrets", "configs", "services")
    }
    return {kind: bodies for kind, bodies in recorded.items() if bodies}


def cases() -> dict[str, list[Path]]:
    """Each case's files: NAME.yml, merged with NAME.2.yml where that exists."""
    first = sorted(path for path in FOLDER.glob("*.yml") if not path.stem.endswith(".2"))
    return {
        path.stem: [one for one in (path, path.with_suffix(".2.yml")) if one.exists()]
        for path in first
    }


PARENT = "/FOLDER"
"""Stands for the folder above the cases in what was recorded."""

ENVIRONMENT = {"TAG": "1.27", "WHERE": "prod"}
"""Variables that the cases use."""


def main(names: list[str]) -> None:
    for name, files in cases().items():
        if names and name not in names:
            continue
        recorded = record(files, ENVIRONMENT)
        text = json.dumps(recorded, indent=1, sort_keys=True, ensure_ascii=False)
        text = text.replace(str(FOLDER.parent), PARENT)
        (FOLDER / f"{name}.json").write_text(text + "\n")
        print(name, recorded.get("error", "ok"))


if __name__ == "__main__":
    main(sys.argv[1:])
