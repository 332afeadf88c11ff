"""A registry in a host of the lab that wants a user and a password."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import time
import urllib.error
from pathlib import Path

from tests.support.lab import Lab
from tests.support.lab_host import NETNS, LabError, run
from tests.support.tools import tool

PORT = 5000
USER = "alice"
_LIMIT_S = 30
_ASK = """
import sys, urllib.request as u, urllib.error as e
try:
    u.urlopen(sys.argv[1], timeout=3)
except e.HTTPError as error:
    print(error.code, end="")
"""


class Registry:
    """Debian's docker-registry with one account; `start` and `stop` keep what it holds."""

    def __init__(self, lab: Lab, host: int, folder: Path) -> None:
        self._program = tool("docker-registry") / "usr/bin/docker-registry"
        self._lab = lab
        self._host = host
        self.address = f"{lab.host(host).address}:{PORT}"
        self.password = secrets.token_urlsafe(24)
        self._config = folder / "registry.json"
        accounts = folder / "htpasswd"
        accounts.write_text(f"{USER}:{_bcrypt(self.password)}\n")
        settings = {
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
            "http": {"addr": f"{self.address}"},
            "auth": {"htpasswd": {"realm": "lab", "path": str(accounts)}},
        }
        self._config.write_text(json.dumps(settings))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it asks for a password."""
        # of the host only its network: so the process is this program's child, and ends with a signal
        network = NETNS / self._lab.host(self._host).label
        command = ["nsenter", f"--net={network}", self._program, "serve", self._config]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        url = f"http://{self.address}/v2/"
        deadline = time.monotonic() + _LIMIT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(LabError, urllib.error.URLError):
                if self._lab.enter(self._host, "python3", "-c", _ASK, url).stdout == "401":
                    return
            time.sleep(0.1)
        raise LabError(f"the registry at {self.address} does not answer")

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_LIMIT_S)
            self._process = None


def _bcrypt(password: str) -> str:
    """Hash a password as `htpasswd -B` does; every Debian has perl, and libcrypt behind it."""
    salt = "$2y$05$" + secrets.token_hex(11)
    return run("perl", "-e", "print crypt($ARGV[0], $ARGV[1])", password, salt).stdout
