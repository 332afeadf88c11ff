"""Requests to a Docker API on a unix socket, and images for engines without a registry."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
from io import BufferedReader
from pathlib import Path
from typing import Any

from tests.support.lab_host import ROOT, LabError, run


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def call(
    endpoint: Path, method: str, path: str, body: object = None, *, timeout_s: float = 60
) -> Any:
    """Send one request to a Docker API socket.

    Args:
        endpoint: the socket.
        method: GET, POST, …
        path: with query; without version the server's own one is used.
        body: something for JSON, or an open binary file that is sent as it is.
        timeout_s: longest wait for any one step.

    Returns:
        The decoded JSON of the answer; other answers as bytes.

    Raises:
        LabError: the server refused; the message holds status and text.
        OSError: nobody is there.
    """
    connection = UnixConnection(endpoint, timeout_s)
    with contextlib.closing(connection):
        content: Any = (
            None if body is None else body if isinstance(body, BufferedReader) else json.dumps(body)
        )
        headers = {"Content-Type": "application/json"}
        if isinstance(body, BufferedReader):
            size = os.fstat(body.fileno()).st_size
            headers = {"Content-Type": "application/x-tar", "Content-Length": str(size)}
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        data = answer.read()
    if answer.status >= 400:
        raise LabError(f"{method} {path}: {answer.status} {data.decode(errors='replace').strip()}")
    if data and answer.headers.get("Content-Type", "").startswith("application/json"):
        with contextlib.suppress(json.JSONDecodeError):  # a stream of several objects
            return json.loads(data)
    return data


def image_archive(name: str) -> Path:
    """The archive of a set of images, built if it is not there."""
    program = ROOT / "scripts/build-test-image"
    done = subprocess.run(
        [sys.executable, program, name], stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise LabError(done.stderr.strip().splitlines()[-1])
    return ROOT / ".lab/images" / f"{name}.tar"


def archived_images(archive: Path) -> list[tuple[str, str]]:
    """Tag and image ID of each image in an archive."""
    manifest = json.loads(run("tar", "-xOf", str(archive), "manifest.json").stdout)
    return [
        (image["RepoTags"][0], "sha256:" + image["Config"].removesuffix(".json"))
        for image in manifest
    ]
