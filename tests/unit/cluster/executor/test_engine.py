"""The translation of errors; the calls themselves are tested on a real engine."""

from __future__ import annotations

import asyncio
import gc
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import (
    ClusterError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from cluster.executor.engine import Engine, EngineFailure


class Refusal(BaseHTTPRequestHandler):
    """Answers everything but its version with the server's one error."""

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, RefusingEngine)
        status, body = server.status, {"message": server.message}
        if self.path.endswith("/version"):
            status, body = 200, {"ApiVersion": "1.41"}
        else:
            server.asked.set()
            server.held.wait(10)
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


class RefusingEngine(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    status = 500
    message = ""

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self.asked = threading.Event()
        self.held = threading.Event()  # answers wait until it is set
        self.held.set()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RefusingEngine]:
    with RefusingEngine(str(tmp_path / "e.sock"), Refusal) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "invalid mount", InvalidArgument),
        (404, "No such image: x", NotFound),
        (409, "name is in use", FailedPrecondition),
        (500, "driver failed: port is already allocated", EngineFailure),
        (500, "dial unix /run/containerd/containerd.sock: connection refused", Unavailable),
        (503, "starting", Unavailable),
    ],
)
async def test_an_answer_becomes_the_error_the_caller_can_act_on(
    server: RefusingEngine, status: int, message: str, kind: type[ClusterError]
) -> None:
    server.status, server.message = status, message
    async with Engine(f"unix://{server.server_address!s}") as engine:
        with pytest.raises(ClusterError, match=message) as raised:
            await engine.inspect("x")
        assert type(raised.value) is kind


def test_an_engine_elsewhere_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="must be unix://"):
        Engine("/run/docker.sock")


async def test_the_api_s_version_is_asked_once(server: RefusingEngine) -> None:
    async with Engine(f"unix://{server.server_address!s}") as engine:
        assert await engine.api_version() == (1, 41)


async def test_an_engine_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    async with Engine(f"unix://{tmp_path}/none.sock") as engine:
        with pytest.raises(Unavailable, match=r"is away: No such file or directory"):
            await engine.info()


async def test_the_error_of_a_call_whose_caller_is_gone_is_no_news(
    server: RefusingEngine,
) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
    server.held.clear()
    async with Engine(f"unix://{server.server_address!s}") as engine:
        asking = asyncio.ensure_future(engine.inspect("x"))
        await asyncio.to_thread(server.asked.wait, 10)
        asking.cancel()
        await asyncio.sleep(0.05)
        server.held.set()
        await asyncio.wait({asking})
        assert asking.cancelled()
        del asking
        gc.collect()
    assert complaints == []
