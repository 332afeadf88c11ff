"""The stock client's commands as recorded with Docker Swarm, run against this cluster.

`tests/compat/traces/engine-20.10.json` holds what a single manager of Docker Swarm 20.10 did: each command with
its exit code and error, the requests of the client (version and identifiers left out) with the
status of each answer, and the members that all answers to it had.  The first part is run on a
single manager, the rest on a follower of three managers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat.trace_differences import DIFFERENCES, MEMBERS
from tests.support.cluster import HOSTS, WORKERS, Cluster, wait_for
from tests.support.lab_host import ROOT, environment
from tests.support.recorded_http import Exchange, Recorder, members, recording, without_ids

TRACES = ROOT / "tests/compat/traces"
IMAGE = "stackyard/test:1"
NAMES = ("busybox:latest", "alpine:3.10")
LIMIT_S = 1200

RECORDED = json.loads((TRACES / "engine-20.10.json").read_text())
ALONE = ("0", "1", "2")  # names of what is run on a single manager begin so
LEAVING = "90-swarm-leave"
LAST = "91-swarm-leave-force"


class Shell:
    """Runs the recorded command lines on one host, and notes what they ask."""

    def __init__(self, recorder: Recorder, socket: Path, folder: Path) -> None:
        self._recorder = recorder
        self._socket = socket
        self._folder = folder

    def run(self, command: str, stdin: str) -> tuple[int, str, list[Exchange]]:
        env = {
            **environment(),
            "DOCKER_HOST": f"unix://{self._socket}",
            "DOCKER_CONFIG": str(self._folder),
            "DOCKER_CLI_HINTS": "false",
        }
        done = subprocess.run(
            ["timeout", "90", "bash", "-c", command],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self._folder,
            env=env,
            check=False,
        )
        return done.returncode, done.stderr, self._recorder.take()


def problems(
    recorded: dict[str, Any], code: int, said: str, asked: list[Exchange], excused: set[str]
) -> list[str]:
    """What differs from the recording; patterns of known differences are added to `excused`."""
    found = []
    if code != recorded["code"]:
        found.append(f"exit code {code}, not {recorded['code']}: {said.strip()}")
    found += [
        f"error lacks {bare(line)!r}: {bare(said)!r}"
        for line in recorded.get("error", "").splitlines()
        if bare(line) not in bare(said)
    ]
    ours: dict[str, set[str]] = {}
    for exchange in asked:
        ours.setdefault(exchange.key, set()).update(members(exchange.body))
    for key, shape in recorded["requests"].items():
        if key not in ours:
            found.append(f"no {key}; there are {sorted(k for k in ours if '_ping' not in k)}")
        elif shape >= 0:
            if not ours[key]:  # a list of other objects, which are not there now
                continue
            for member in sorted(set(RECORDED["shapes"][shape]) - ours[key]):
                place = f"{recorded['name']}: {key} {member}"
                patterns = {pattern for pattern in MEMBERS if re.search(pattern, place)}
                excused |= patterns
                if not patterns:
                    found.append(f"{key}: no member {member}")
    changing = {key for key in ours if key.split()[0] in {"POST", "DELETE"}}
    found += [f"unexpected {key}" for key in sorted(changing - recorded["requests"].keys())]
    return found


def bare(text: str) -> str:
    """An error without what is known to differ: prefix of gRPC, identifiers, upper case."""
    prefixes = r"Error response from daemon: |rpc error: code = \w+ desc = "
    text = re.sub(prefixes, "", without_ids(text))
    return re.sub(r"\s+", " ", text).strip().lower()


@pytest.fixture
def images(cluster: Cluster) -> None:
    for host in HOSTS:
        for name in NAMES:
            repository, _, tag = name.partition(":")
            path = f"/images/{IMAGE}/tag?repo={repository}&tag={tag}"
            cluster.lab.engine(host, "POST", path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("stack.yml", "conf.txt"):
        shutil.copy(TRACES / name, tmp_path)
    text = (TRACES / "stack.yml").read_text()
    changed = text.replace('A: "1"', 'A: "2"').replace("replicas: 2", "replicas: 1")
    (tmp_path / "stack2.yml").write_text(changed)
    other = text.replace("18080", "18085").replace("replicas: 2", "replicas: 1")
    (tmp_path / "stackc.yml").write_text(other)
    return tmp_path


@pytest.fixture
def three_managers(cluster: Cluster) -> Iterator[None]:
    """The workers as managers, and workers again afterwards."""
    yield
    for host in WORKERS:
        cluster.docker("node", "demote", f"h{host}", code=None)


def replay(
    cluster: Cluster, host: int, folder: Path, commands: list[dict[str, Any]], excused: set[str]
) -> list[str]:
    stackd = cluster.lab.host(host).stackd_socket
    socket = folder / f"h{host}.sock"
    found = []
    with recording(socket, stackd) as recorder:
        shell = Shell(recorder, socket, folder)
        for recorded in commands:
            name = recorded["name"]
            code, said, asked = shell.run(recorded["command"], recorded.get("stdin", ""))
            differing = problems(recorded, code, said, asked, excused)
            if name in DIFFERENCES:
                if not differing:
                    found.append(f"{name}: no longer different, take it off the list")
            else:
                found += [f"{name}: {problem}" for problem in differing]
    return found


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.usefixtures("images", "three_managers")
def test_recorded_commands_end_the_same(cluster: Cluster, folder: Path) -> None:
    commands: list[dict[str, Any]] = RECORDED["commands"]
    alone = [c for c in commands if c["name"].startswith(ALONE) or c["name"] == LEAVING]
    for host in reversed(HOSTS):
        cluster.stack("cluster", "leave", "--force", host=host)
    excused: set[str] = set()
    found = replay(cluster, 1, folder, alone, excused)
    cluster.docker("swarm", "leave", "--force", code=None)
    cluster.docker("swarm", "init", "--advertise-addr", cluster.address(1))
    for host in WORKERS:
        cluster.stack(
            *("cluster", "join", "--token", cluster.token("manager")),
            f"{cluster.address(1)}:2377",
            host=host,
        )
    wait_for("three managers", lambda: len(cluster.api("GET", "/nodes", host=2)) == len(HOSTS))
    cluster.docker("node", "update", "--label-add", "zone=a", "h2")
    rest = [c for c in commands if c not in alone and c["name"] != LAST]
    rest += [c for c in commands if c["name"] == LAST]
    found += replay(cluster, 2, folder, rest, excused)
    found += [
        f"{one}: nothing lacks it, take it off the list" for one in MEMBERS if one not in excused
    ]
    report = os.environ.get("RECORDED_REPORT")
    if report:
        Path(report).write_text("\n".join(found))
    assert not found, "\n".join(found)
