"""Where the API is, and what its answers become."""

import re
import socket
import threading
from pathlib import Path

import pytest

from stack.engine.client import EngineClient
from stack.engine.connection import Connection
from stack.engine.endpoint import Endpoint, find_endpoint
from stack.errors import (
    Conflict,
    EngineError,
    EngineUnreachable,
    NotFound,
    OutOfSequence,
    Unavailable,
    UsageError,
)
from tests.unit.stack.engine_server import EngineServer, serving


@pytest.mark.parametrize(
    ("host", "environment", "endpoint"),
    [
        ("unix:///x/y.sock", {"DOCKER_HOST": "tcp://a:1"}, Endpoint("unix", "/x/y.sock")),
        ("", {"DOCKER_HOST": "unix:///z"}, Endpoint("unix", "/z")),
        ("tcp://h:1234", {"HOME": "/r"}, Endpoint("tcp", "h", 1234, certificates="/r/.docker")),
        ("ssh://h", {"DOCKER_TLS_VERIFY": "1"}, Endpoint("ssh", "h")),
        ("ssh://me@h:2222/", {}, Endpoint("ssh", "h", 2222, user="me")),
        ("ssh://[fe80::1]/x/y.sock", {}, Endpoint("ssh", "fe80::1", path="/x/y.sock")),
        ("h", {"HOME": "/r"}, Endpoint("tcp", "h", 2375, certificates="/r/.docker")),
        (
            "tcp://h",
            {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"},
            Endpoint("tcp", "h", 2376, tls=True, verify=True, certificates="/c"),
        ),
        (
            "tcp://[::1]:9",
            {"DOCKER_TLS": "1", "DOCKER_CERT_PATH": "/c"},
            Endpoint("tcp", "::1", 9, tls=True, verify=False, certificates="/c"),
        ),
    ],
)
def test_the_endpoint(host: str, environment: dict[str, str], endpoint: Endpoint) -> None:
    found = find_endpoint(host, environment)
    if endpoint.scheme == "tcp" and not endpoint.tls:
        endpoint = Endpoint("tcp", endpoint.address, endpoint.port, verify=False, certificates=endpoint.certificates)  # fmt: skip
    assert found == endpoint


@pytest.mark.parametrize(
    "host", ["ssh://", "ssh://h?a=b", "ssh://h:x", "tcp://", "tcp://h:99999", "npipe:////./pipe"]
)
def test_a_host_of_no_known_form_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(f'host {host!r}')}"):
        find_endpoint(host, {})


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="a password has no place") as caught:
        find_endpoint("ssh://me:canary@h", {})
    assert "canary" not in str(caught.value)


def test_a_deploy_token_goes_through_ssh() -> None:
    token = "stk_a_b"
    assert find_endpoint("ssh://h", {"STACK_TOKEN": token}).token == token


@pytest.mark.parametrize(
    "host", ["unix:///x", "tcp://h:1", "ssh://h", "ssh://me@h:22/x", "ssh://[::1]:22"]
)
def test_an_endpoint_is_shown_as_it_was_given(host: str) -> None:
    assert find_endpoint(host, {}).url == host


def test_the_older_api_version_of_the_two_is_used(tmp_path: Path) -> None:
    paths: list[str] = []

    class Recording(EngineServer):
        def answer(self, method, path, query, body):
            paths.append(path)
            return super().answer(method, path, query, body)

    with serving(Recording(), tmp_path) as host, Connection.to(host) as connection:
        connection.request("GET", "/services", {"status": "true"})
        connection.request("GET", "/nodes")
    assert paths == ["/_ping", "/v1.41/services", "/v1.41/nodes"]


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, "no", NotFound),
        (409, "no", Conflict),
        (503, "no", Unavailable),
        (500, "rpc error: code = Unknown desc = update out of sequence", OutOfSequence),
        (400, "no", EngineError),
    ],
)
def test_an_error_answer_is_an_error_of_its_kind(
    tmp_path: Path, status: int, message: str, kind: type[EngineError]
) -> None:
    from tests.unit.stack.engine_server import Failure

    class Failing(EngineServer):
        def answer(self, method, path, query, body):
            if path != "/_ping":
                raise Failure(status, message)

    with (
        serving(Failing(), tmp_path) as host,
        EngineClient.at(host) as client,
        pytest.raises(EngineError) as caught,
    ):
        client.services()
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert str(caught.value) == message.rsplit("desc = ", maxsplit=1)[-1]


def test_nobody_at_the_address_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(EngineUnreachable, match=r"no answer from unix://.*: No such file"):
        EngineClient.at(f"unix://{tmp_path}/none.sock").services()


def test_a_read_is_repeated_when_the_server_closed_the_idle_connection(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]"
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            for requests in (1, 2):  # the first connection is closed after the ping
                connection, _ = listener.accept()
                with connection:
                    for _ in range(requests):
                        if connection.recv(65536):
                            connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with Connection(Endpoint("unix", str(path))) as connection:
            assert connection.request("GET", "/services") == []
            assert connection.request("GET", "/services") == []
        thread.join()


def test_tcp_works_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                for body in (b"OK", b'[{"ID": "n"}]'):
                    connection.recv(65536)
                    head = f"HTTP/1.1 200 OK\r\nApi-Version: 1.99\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                    if body == b"OK":
                        head = head.replace("application/json", "text/plain")
                    connection.sendall(head.encode() + body)

        thread = threading.Thread(target=serve)
        thread.start()
        with Connection(find_endpoint(f"tcp://127.0.0.1:{port}", {})) as connection:
            assert EngineClient(connection).nodes() == [{"ID": "n"}]
        thread.join()
