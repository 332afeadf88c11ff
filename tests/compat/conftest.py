"""A real Docker Engine in a network namespace of its own, and an API server in front of it."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from cluster.api.server import ApiServer
from cluster.clock import SystemClock
from tests.compat.memory_node import MemoryNode, counting_ids

IMAGE = "busybox:latest"
_START_S = 60


class DockerCli:
    """The stock ``docker`` command against one socket, or what `environment` names."""

    def __init__(
        self, socket: Path, home: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.socket = socket
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "DOCKER_CLI_HINTS": "false",
            **(environment or {"DOCKER_HOST": f"unix://{socket}"}),
        }

    async def __call__(
        self, *args: str, stdin: bytes | None = None, rc: int = 0, timeout_s: float = 60
    ) -> str:
        """Run a command, check its exit code, and return what it printed.

        What went to standard error is returned for a command that fails.
        """
        code, out, err = await self.run(*args, stdin=stdin, timeout_s=timeout_s)
        assert code == rc, f"docker {' '.join(args)}: exit code {code}\n{out}\n{err}"
        return err if rc else out

    async def start(self, *args: str, has_stdin: bool = False) -> asyncio.subprocess.Process:
        """Start a command without waiting for its end."""
        return await asyncio.create_subprocess_exec(
            "docker",
            *args,
            stdin=asyncio.subprocess.PIPE if has_stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
        )

    async def run(
        self, *args: str, stdin: bytes | None = None, timeout_s: float = 60
    ) -> tuple[int, str, str]:
        """Run a command and return exit code, standard output and standard error."""
        process = await self.start(*args, has_stdin=stdin is not None)
        try:
            async with asyncio.timeout(timeout_s):
                out, err = await process.communicate(stdin)
        except TimeoutError:
            process.kill()
            out, err = await process.communicate()
            pytest.fail(f"docker {' '.join(args)}: no end in {timeout_s} s\n{out!r}\n{err!r}")
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@pytest.fixture(scope="session")
def engine_socket() -> Iterator[Path]:
    """The socket of a Docker Engine that has the image `IMAGE`."""
    for program in ("dockerd", "docker", "nsenter", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    base = Path(tempfile.mkdtemp(prefix="stk-api-"))
    namespace = f"stk-api-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    process = None
    try:
        subprocess.run(["ip", "-n", namespace, "link", "set", "lo", "up"], check=True)
        socket = base / "engine.sock"
        with (base / "dockerd.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    "nsenter",
                    f"--net=/run/netns/{namespace}",
                    "dockerd",
                    f"--data-root={base}/data",
                    f"--exec-root={base}/run",
                    f"--pidfile={base}/dockerd.pid",
                    f"--host=unix://{socket}",
                    "--storage-driver=vfs",
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        _wait_for_engine(process, socket, base / "dockerd.log")
        _import_busybox(socket)
        yield socket
    finally:
        if process is not None:
            _stop_engine(process, base / "engine.sock")
        subprocess.run(["ip", "netns", "del", namespace], check=False)
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def local_node() -> MemoryNode:
    return MemoryNode()


@pytest.fixture
async def docker(
    engine_socket: Path, local_node: MemoryNode, tmp_path: Path
) -> AsyncIterator[DockerCli]:
    """The docker command against our server, this node in no cluster yet."""
    server = ApiServer(local_node, engine_socket, SystemClock(), counting_ids())
    socket = tmp_path / "stackd.sock"
    async with server.serving(socket):
        yield DockerCli(socket, tmp_path)


@pytest.fixture
async def swarm(docker: DockerCli) -> DockerCli:
    """The same, this node the only manager of a cluster."""
    await docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    return docker


def _run(socket: Path, *args: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", "--host", f"unix://{socket}", *args],
        input=None if stdin is None else stdin.decode("latin-1"),
        capture_output=True,
        text=True,
        encoding="latin-1",
        check=False,
    )


def _wait_for_engine(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while _run(socket, "version").returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail("dockerd does not start:\n" + log.read_text()[-3000:])
        time.sleep(0.1)


def _import_busybox(socket: Path) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox-static")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(os.path.realpath(busybox), "bin/busybox")
        for name in ("cat", "echo", "ls", "md5sum", "seq", "sh", "sleep", "tail", "true", "wc"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
    done = _run(socket, "import", "-", IMAGE, stdin=archive.getvalue())
    assert done.returncode == 0, done.stderr


def _stop_engine(process: subprocess.Popen[bytes], socket: Path) -> None:
    if process.poll() is None:
        containers = _run(socket, "ps", "--all", "--quiet").stdout.split()
        if containers:
            _run(socket, "rm", "--force", *containers)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
