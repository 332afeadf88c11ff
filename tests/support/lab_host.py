"""One host of the lab as the kernel sees it: its names, its control groups, its processes."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]
CGROUPS = Path("/sys/fs/cgroup")
NETNS = Path("/run/netns")

Service = Literal["engine", "netd", "stackd"]


class LabError(Exception):
    """The lab could not do what was asked; one line says why."""


@dataclass(frozen=True)
class Host:
    """Names and places of one host; nothing here looks at whether they exist."""

    index: int  # from 1
    address: str
    folder: Path
    label: str  # unique on the machine: network namespace and control group carry it

    @property
    def name(self) -> str:
        """The host's own name, h1 for the first."""
        return f"h{self.index}"

    @property
    def engine_socket(self) -> Path:
        """Where its Docker Engine listens."""
        return self.folder / "docker.sock"

    @property
    def stackd_socket(self) -> Path:
        """Where its stackd listens."""
        return self.folder / "stackd.sock"

    @property
    def netd_socket(self) -> Path:
        """Where its network process listens."""
        return self.folder / "netd.sock"

    def log(self, what: str) -> Path:
        """The log of "init", "engine" or "stackd"."""
        return self.folder / f"{what}.log"

    def pid_file(self, what: str) -> Path:
        """Where the process ID and start time of "init", "engine" or "stackd" are kept."""
        return self.folder / f"{what}.pid"


# ---- control groups and processes


def home_cgroup(host: Host) -> Path:
    """The control group of a host's own processes; its containers have a sibling of it.

    With separate hierarchies (cgroup v1) the one that counts CPU time is used.
    """
    separate = [CGROUPS / name for name in ("cpuacct", "pids", "systemd")]
    unified = (CGROUPS / "cgroup.controllers").exists()
    top = CGROUPS if unified else next(filter(Path.is_dir, separate))
    return top / host.label / "system"


def members(host: Host) -> list[int]:
    """Process IDs of everything that runs in a host, containers included."""
    pids: list[int] = []
    for group in home_cgroup(host).parent.rglob("cgroup.procs"):
        with contextlib.suppress(OSError):  # a container's group may go meanwhile
            pids += [int(pid) for pid in group.read_text().split()]
    return [pid for pid in pids if start_time(pid)]


def remove_cgroups(host: Host) -> None:
    """Remove a host's control groups from all hierarchies."""
    tops = [top for top in (CGROUPS / host.label, *CGROUPS.glob(f"*/{host.label}")) if top.is_dir()]
    deadline = time.monotonic() + 10
    for top in tops:
        while top.exists():
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(
                    OSError
                ):  # busy until the kernel is done with its last process
                    Path(folder).rmdir()
            if time.monotonic() > deadline:
                raise LabError(f"{top}: the control group does not go away")
            time.sleep(0.01)


def start_time(pid: int) -> str | None:
    """When a process started, in clock ticks since boot; None if it is gone or only a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def inner_pid(pid: int) -> int | None:
    """A process's ID inside its host; None for others, as those in containers."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(r"^NSpid:\t\d+\t(\d+)$", status, re.MULTILINE)
    return int(found[1]) if found else None


def remember(host: Host, what: str, pid: int) -> None:
    """Write down which process it is; the start time tells it from a later one of the same number."""
    host.pid_file(what).write_text(f"{pid} {start_time(pid)}\n")


def running(host: Host, what: str) -> int | None:
    """Process ID of a host's "init", "engine" or "stackd", if it runs."""
    try:
        pid, started = host.pid_file(what).read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if start_time(int(pid)) == started else None


def end(host: Host, what: Service, sig: int) -> None:
    """Send a signal to a host's program and wait until it has ended."""
    pid = running(host, what)
    if not pid:
        return
    kill(pid, sig)
    deadline = time.monotonic() + 60
    while running(host, what):
        if time.monotonic() > deadline:
            raise LabError(f"{what} on {host.name} did not end within 60 s of signal {sig}")
        time.sleep(0.01)


def kill(pid: int, sig: int) -> None:
    """Send a signal to a process that may have ended just now."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)


def environment() -> dict[str, str]:
    """What programs in a host are given: this one's variables, less what points at another engine."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")}
    path = own.get("PATH", os.defpath)
    return {**own, "PATH": f"{ROOT / '.venv/bin'}:{path}:/usr/local/sbin:/usr/sbin:/sbin"}


def run(
    *command: str,
    check: bool = True,
    timeout_s: float | None = None,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command; what it complains about becomes the error."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=env or environment(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{shlex.join(command)}: not done after {timeout_s} s") from error
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip() or "no output"
        raise LabError(f"{shlex.join(command)}: exit code {done.returncode}: {said}")
    return done


def tail(log: Path, lines: int = 3) -> str:
    """The last lines of a log, with the place where the rest is."""
    text = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return " | ".join(text[-lines:]) + f" (see {log})"


def in_parallel(do: Callable[[Host], None], hosts: Iterable[Host]) -> None:
    """Do the same for each host, a few at a time; the first failure is raised when all are through."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        futures = [pool.submit(do, host) for host in hosts]
    for future in futures:
        future.result()


# ---- what this machine can do

# Each is tried in namespaces that end with it, so that nothing stays behind.
TRIALS = {
    "namespaces": "true",
    "bridges": "ip link add sy0 type bridge",
    "veth pairs": "ip link add sy0 type veth peer name sy1",
    "a fresh /sys": "mount -t tmpfs tmpfs /mnt; mkdir /mnt/s; mount -t sysfs sysfs /mnt/s",
    "overlay file systems": """
        mount -t tmpfs tmpfs /mnt
        mkdir /mnt/u /mnt/w
        mount -t overlay lab -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w /etc
    """,
    "NAT in iptables": "iptables -t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE",
}


def why_impossible() -> str | None:
    """Why no lab can be brought up on this machine, in one line; None if it can."""
    if sys.platform != "linux":
        return "a lab needs Linux"
    if os.geteuid() != 0:
        return "a lab needs root: run it with sudo"
    search = environment()["PATH"]
    missing = [
        t
        for t in ("dockerd", "ip", "nsenter", "unshare", "iptables", "setsid")
        if not shutil.which(t, path=search)
    ]
    if missing:
        return f"a lab needs {', '.join(missing)}; scripts/bootstrap installs what is missing"
    if not os.access(CGROUPS, os.W_OK) or not list(CGROUPS.glob("**/cgroup.procs"))[:1]:
        return f"a lab needs control groups it may write to below {CGROUPS}"
    for what, script in TRIALS.items():
        tried = run(
            "unshare",
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--uts",
            "--ipc",
            "sh",
            "-ec",
            script,
            check=False,
        )
        if tried.returncode:
            return f"a lab needs {what}, which this kernel refuses here: {tried.stderr.strip() or 'no reason given'}"
    return None
