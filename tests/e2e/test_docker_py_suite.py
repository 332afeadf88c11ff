"""The swarm part of docker-py's own integration tests, unmodified, against a host's socket."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.lab_host import environment
from tests.support.tools import tool

HOST = 3
"""The suite makes and leaves clusters of one node, so this host leaves the others before."""

IMAGES = ("busybox:latest", "alpine:3.10", "alpine:latest")
FILES = (
    *(f"api_{name}_test.py" for name in ("swarm", "service", "secret", "config", "network")),
    *(f"models_{name}_test.py" for name in ("swarm", "nodes", "services", "networks")),
)


@pytest.fixture
def lone_host(cluster: Cluster) -> Iterator[str]:
    """The socket of a host that is in no cluster and has the images the suite asks for."""
    cluster.stack("cluster", "leave", host=HOST)
    for image in IMAGES:
        cluster.docker("tag", "stackyard/test:1", image, host=HOST)
    yield f"unix://{cluster.lab.host(HOST).stackd_socket}"
    cluster.docker("rmi", *IMAGES, host=HOST)


@pytest.mark.timeout(600)
def test_docker_pys_own_tests_pass(lone_host: str, tmp_path: Path) -> None:
    folder = tool("docker-py-tests")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    settings = tmp_path / "pytest.ini"  # not the project's own
    settings.write_text("[pytest]\n")
    command += ["-c", str(settings), "--rootdir", str(folder), "--timeout", "120"]
    command += [f"tests/integration/{name}" for name in FILES]
    env = {**environment(), "DOCKER_HOST": lone_host, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**env, "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = int(done.stdout.splitlines()[-1].split(" passed")[0].split()[-1])
    assert passed >= 140, "the suite was not found"
