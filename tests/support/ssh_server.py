"""An OpenSSH server of our own on the loopback, for one key, and a client's settings for it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.free_port import free_port

READY_S = 60.0


@contextmanager
def ssh_server(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Serve logins of root as long as the context is open, on 127.0.0.1.

    Args:
        folder: for keys, settings and the server's log, `sshd.log`. What `bin/ssh` in it is, takes
            the right key and none of the user's own settings.
        environment: of every login.

    Yields:
        The endpoint as -H takes it.
    """
    folder.mkdir(mode=0o700)
    for name in ("host_key", "key", "other_key"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(make, check=True)
    (folder / "authorized").write_text((folder / "key.pub").read_text())
    port = free_port()
    _write_server_settings(folder, port, environment)
    _write_client(folder, port)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it shuts itself in
    sshd = subprocess.check_output(["sh", "-c", "command -v sshd"], text=True).strip()
    log = folder / "sshd.log"
    command = [sshd, "-D", "-f", str(folder / "sshd_config"), "-E", str(log)]
    with subprocess.Popen(command) as server:
        try:
            limit = time.monotonic() + READY_S
            while "Server listening" not in (log.read_text() if log.exists() else ""):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < limit, log.read_text()
                time.sleep(0.05)
            yield f"ssh://root@127.0.0.1:{port}"
        finally:
            server.terminate()


def _write_server_settings(folder: Path, port: int, environment: Mapping[str, str]) -> None:
    variables = " ".join(f"{name}={value}" for name, value in environment.items())
    lines = (
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {folder / 'host_key'}",
        f"AuthorizedKeysFile {folder / 'authorized'}",
        "PidFile none",
        "UsePAM no",
        "StrictModes no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        f"SetEnv {variables}",
    )
    (folder / "sshd_config").write_text("\n".join([*lines, ""]))


def _write_client(folder: Path, port: int) -> None:
    host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    lines = (
        f"IdentityFile {folder / 'key'}",
        "IdentitiesOnly yes",
        "IdentityAgent none",
        f"UserKnownHostsFile {folder / 'known_hosts'}",
        "StrictHostKeyChecking yes",
        "BatchMode yes",
    )
    (folder / "ssh_config").write_text("\n".join([*lines, ""]))
    (folder / "bin").mkdir()
    client = folder / "bin" / "ssh"
    client.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F "{folder / "ssh_config"}" "$@"\n')
    client.chmod(0o755)
