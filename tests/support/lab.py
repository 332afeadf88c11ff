"""A lab: several hosts on one machine, each with a real Docker Engine and, if wanted, stackd.

A host is a set of namespaces (network, mount, PID, UTS, IPC) kept by its process 1. So each host has
its own addresses, firewall, /run, /etc, hostname and process table, and "power off" is one signal.
The hosts hang on a bridge that lives in a network namespace of its own, without an uplink; the
machine's own network takes no part. The API sockets are files below the state folder, so that
programs outside of the lab can use them.

All of a host's processes are members of one control group. It names them exactly, whoever started
them and whatever crashed since; that is how a host is found again, measured and taken down.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import ipaddress
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from tests.support.lab_boot import boot
from tests.support.lab_engine import archived_images, call, image_archive
from tests.support.lab_host import (
    CGROUPS,
    NETNS,
    ROOT,
    Host,
    LabError,
    Service,
    end,
    environment,
    home_cgroup,
    in_parallel,
    inner_pid,
    kill,
    members,
    remember,
    remove_cgroups,
    run,
    running,
    tail,
    why_impossible,
)
from tests.support.lab_switch import Switch

SUBNET = "10.77.0.0/24"
MAX_SOCKET_PATH_BYTES = 107  # sockaddr_un holds 108 with the closing zero


class Lab:
    """Hosts h1..hN with the addresses .1 to .N of a subnet.

    Several labs can be up at once: each has a name, and the labels of its namespaces come from the
    path of its state folder. Use it as a context manager to have it taken down at the end.
    """

    def __init__(
        self, name: str = "", *, state: Path | None = None, subnet: str | None = None
    ) -> None:
        """Take hold of a lab, which may be up already.

        Args:
            name: "" for the checkout's main lab; others live in a folder of that name beneath it.
            state: where the main lab lives; default $STACKYARD_LAB, else .lab in the checkout.
            subnet: IPv4 network of the hosts; default that of the running lab, else 10.77.0.0/24.
                Labs do not reach each other, so that several may have the same one.

        Raises:
            LabError: the name or the path cannot be used.
        """
        if name and (
            not re.fullmatch(r"[a-z][a-z0-9-]*", name) or re.fullmatch(r"h\d+|images|tools", name)
        ):
            raise LabError(
                f"lab name {name!r}: want letters, digits and '-', not h1, h2, …, images or tools"
            )
        main = state or Path(os.environ.get("STACKYARD_LAB") or ROOT / ".lab")
        self.name = name
        self.state = (main / name).resolve()
        if self.state.is_relative_to("/run"):
            raise LabError(
                f"{self.state}: the hosts have a /run of their own; set STACKYARD_LAB elsewhere"
            )
        self.label = "sy-" + hashlib.sha256(os.fsencode(self.state)).hexdigest()[:8]
        self._record = self.state / "lab.json"
        if subnet is None:
            subnet = (
                json.loads(self._record.read_text())["subnet"] if self._record.exists() else SUBNET
            )
        self.subnet = ipaddress.IPv4Network(subnet)
        self.switch = Switch(f"{self.label}-switch", self.subnet)
        self._refuse_long_paths()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def host(self, which: int | str) -> Host:
        """The host of an index from 1, or of a name like "h1"."""
        digits = re.fullmatch(r"h?(\d+)", str(which))
        if not digits or not 1 <= int(digits[1]) <= self.subnet.num_addresses - 3:
            raise LabError(f"{which}: no host; hosts are h1, h2, …")
        index = int(digits[1])
        name = f"h{index}"
        return Host(index, str(self.subnet[index]), self.state / name, f"{self.label}-{name}")

    def hosts(self) -> list[Host]:
        """The hosts of this lab in order, powered off ones too."""
        indexes = {int(p.name[1:]) for p in self.state.glob("h*") if re.fullmatch(r"h\d+", p.name)}
        return [self.host(i) for i in sorted(indexes)]

    # ---- the whole lab

    def up(self, count: int, *, stackd: bool = False, images: Sequence[str] = ("hello",)) -> None:
        """Bring hosts h1..h`count` up with their engines; what is up already stays as it is.

        Args:
            count: number of hosts, at least 1.
            stackd: start stackd in each as well.
            images: sets of images (see scripts/build-test-image) that each engine shall have.

        Raises:
            LabError: something cannot work here, or did not come up; `down` removes the rest.
        """
        if reason := why_impossible():
            raise LabError(reason)
        hosts = [self.host(i) for i in range(1, count + 1)]
        archives = [image_archive(name) for name in images]
        self.state.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._record.write_text(json.dumps({"subnet": str(self.subnet)}))
            self.switch.up()

            def bring_up(host: Host) -> None:
                self.poweron(host.index)
                for archive in archives:
                    self.load_images(host.index, archive)
                if stackd:
                    self.start_stackd(host.index)

            in_parallel(bring_up, hosts)

    def down(self) -> None:
        """Remove hosts, processes, namespaces, control groups and data, whatever is left of them."""
        if os.geteuid() != 0:
            raise LabError("needs root")
        if not self.state.exists() and not self._leftovers():
            return
        self.state.mkdir(parents=True, exist_ok=True)
        with self._locked():
            hosts = {h.index: h for h in (*self.hosts(), *self._leftovers())}
            in_parallel(lambda host: self.poweroff(host.index), hosts.values())
            for host in hosts.values():
                remove_cgroups(host)
                shutil.rmtree(host.folder, ignore_errors=not host.folder.exists())
            self.switch.down()
            self._record.unlink(missing_ok=True)
        (self.state / "lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # images may stay, and other labs
            self.state.rmdir()

    def status(self) -> list[dict[str, str]]:
        """One row a host: its name, address, and what runs in it."""

        def of(host: Host, what: str) -> str:
            return "up" if running(host, what) else "-"

        return [
            {
                "HOST": host.name,
                "ADDRESS": host.address,
                "POWER": of(host, "init"),
                "NETD": of(host, "netd"),
                "ENGINE": of(host, "engine"),
                "STACKD": of(host, "stackd"),
                "FOLDER": str(host.folder),
            }
            for host in self.hosts()
        ]

    # ---- one host

    def poweron(self, which: int | str) -> None:
        """Give a host power and cable, start its engine, and stackd if it had been started before.

        Its disk (the state folder) is as it was; process IDs, /run, /etc and firewall are new.
        """
        host = self.host(which)
        had_stackd = host.pid_file("stackd").exists()
        host.folder.mkdir(parents=True, exist_ok=True)
        if not running(host, "init"):
            self.switch.plug_in(host)
            boot(host, self.hosts(), self.switch.name_server)
        self.start_netd(which)  # the engine looks for its network driver
        self.start_engine(which)
        if had_stackd:
            self.start_stackd(which)

    def poweroff(self, which: int | str) -> None:
        """Cut a host's power: everything in it stops at once, and its peers hear nothing of it."""
        host = self.host(which)
        if (NETNS / host.label).exists() and self.switch.exists:
            # Without the cable no farewell of a dying socket gets out, as with a real power cut.
            self.switch.set_link(host, "down", check=False)
        if pid := running(host, "init"):
            kill(pid, signal.SIGKILL)
        # The kernel ends all processes of process 1's namespace; the rest is for what never joined it.
        deadline = time.monotonic() + 30
        # Process 1 leaves the control group at once and ends when it has seen the others end.
        while (pids := members(host)) or running(host, "init"):
            for pid in pids:
                kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise LabError(f"{host.name}: processes {pids or 'of before'} do not end")
            time.sleep(0.01)
        self.switch.unplug(host)

    def link(self, which: int | str, state: Literal["up", "down"]) -> None:
        """Pull a host's network cable out of the switch, or plug it in again."""
        if state not in {"up", "down"}:
            raise LabError(f"link {state}: want up or down")
        self.switch.set_link(self.host(which), state)

    def argv_in(self, which: int | str, *command: str) -> list[str]:
        """The command line that runs `command` inside a host."""
        host = self.host(which)
        pid = running(host, "init")
        if not pid:
            raise LabError(f"{host.name} is not powered on")
        enter = ["nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p", "--", *command]
        # The command is counted, and ended, with its host.
        return [
            "sh",
            "-c",
            'echo 0 >"$1/cgroup.procs" && shift && exec "$@"',
            "sh",
            str(home_cgroup(host)),
            *enter,
        ]

    def enter(
        self, which: int | str, *command: str, check: bool = True, timeout_s: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside a host and catch what it prints.

        Raises:
            LabError: it ended with an error (unless `check` is off), or the host is off.
        """
        return run(
            *self.argv_in(which, *command), check=check, timeout_s=timeout_s, env=environment()
        )

    # ---- what runs in a host

    def start_netd(self, which: int | str, *options: str) -> None:
        """Start a host's network process and wait until it answers; nothing happens where one runs.

        Args:
            which: the host.
            options: more options of stack-netd.
        """
        host = self.host(which)
        command = [
            *(str(ROOT / ".venv/bin/stack-netd"), "--state-dir", str(host.folder / "netd")),
            *("--socket", str(host.netd_socket), "--engine", f"unix://{host.engine_socket}"),
            *options,
        ]
        self._start(host, "netd", host.netd_socket, command, {})

    def kill_netd(self, which: int | str, sig: int = signal.SIGKILL) -> None:
        """Send a signal to a host's network process and wait for its end; the data plane stays."""
        end(self.host(which), "netd", sig)

    def netd(self, which: int | str, method: str, path: str, body: object = None) -> Any:
        """Call a host's network process; see `call`."""
        return call(self.host(which).netd_socket, method, path, body)

    def start_engine(self, which: int | str, *options: str) -> None:
        """Start a host's Docker Engine and wait until it answers; nothing happens where one runs.

        Args:
            which: the host.
            options: more options of dockerd.
        """
        host = self.host(which)
        # A process ID of before may belong to another process by now; dockerd would refuse to start.
        command = [
            *("dockerd", "--data-root", f"{host.folder}/data", "--exec-root", "/run/docker"),
            *("--pidfile", "/run/docker.pid", "-H", f"unix://{host.engine_socket}"),
            *("-H", "unix:///run/docker.sock", "--exec-opt", "native.cgroupdriver=cgroupfs"),
            *("--cgroup-parent", f"/{host.label}/containers"),
            # a registry in the lab needs no certificate
            *("--insecure-registry", str(self.subnet), *options),
        ]
        script = f"rm -f /run/docker.pid /run/docker/containerd/containerd.pid; exec {shlex.join(command)}"
        # Without a registry, an image that is there shall be used under its tag.
        extra = {"DOCKER_SERVICE_PREFER_OFFLINE_IMAGE": "1"}
        self._start(host, "engine", host.engine_socket, ["sh", "-c", script], extra)

    def kill_engine(self, which: int | str, sig: int = signal.SIGKILL) -> None:
        """Send a signal to a host's dockerd and wait for its end; containers outlive a SIGKILL."""
        end(self.host(which), "engine", sig)

    def start_stackd(self, which: int | str, *options: str) -> None:
        """Start a host's stackd and wait until it answers; nothing happens where one runs.

        Args:
            which: the host.
            options: more options of stackd.
        """
        host = self.host(which)
        command = [
            *(str(ROOT / ".venv/bin/stackd"), "--state-dir", str(host.folder / "stackd")),
            *(
                "--socket",
                str(host.stackd_socket),
                "--engine",
                f"unix://{host.engine_socket}",
                "--network-socket",
                str(host.netd_socket),
                *options,
            ),
        ]
        self._start(host, "stackd", host.stackd_socket, command, {})

    def kill_stackd(self, which: int | str, sig: int = signal.SIGKILL) -> None:
        """Send a signal to a host's stackd and wait for its end; containers stay."""
        end(self.host(which), "stackd", sig)

    def freeze(self, which: int | str, what: Service = "stackd") -> None:
        """Let a host's program stand still: its connections stay, and nobody answers on them."""
        if pid := running(self.host(which), what):
            kill(pid, signal.SIGSTOP)

    def thaw(self, which: int | str, what: Service = "stackd") -> None:
        """Let a host's program go on where it stood still."""
        if pid := running(self.host(which), what):
            kill(pid, signal.SIGCONT)

    def engine(self, which: int | str, method: str, path: str, body: object = None) -> Any:
        """Call a host's Docker Engine; see `call`."""
        return call(self.host(which).engine_socket, method, path, body)

    def stackd(self, which: int | str, method: str, path: str, body: object = None) -> Any:
        """Call a host's stackd; see `call`."""
        return call(self.host(which).stackd_socket, method, path, body)

    def load_images(self, which: int | str, archive: Path) -> None:
        """Load an archive of images into a host's engine, unless it has exactly these."""
        have = {i["Id"]: i["RepoTags"] or () for i in self.engine(which, "GET", "/images/json")}
        if all(tag in have.get(image, ()) for tag, image in archived_images(archive)):
            return
        with archive.open("rb") as content:
            call(
                self.host(which).engine_socket,
                "POST",
                "/images/load?quiet=1",
                content,
                timeout_s=300,
            )

    def cpu_seconds(self, which: int | str) -> float:
        """CPU seconds a host has used so far: engine, stackd, containers, all that ever ran in it."""
        host = self.host(which)
        group = home_cgroup(host).parent
        with contextlib.suppress(FileNotFoundError):
            return int((group / "cpuacct.usage").read_text()) / 1e9
        with contextlib.suppress(FileNotFoundError):
            return (
                int(
                    dict(s.split() for s in (group / "cpu.stat").read_text().splitlines())[
                        "usage_usec"
                    ]
                )
                / 1e6
            )
        return 0.0

    # ---- Docker's own swarm on the same hosts

    def swarm(self, managers: int) -> None:
        """Form a real Docker Swarm of the engines: the first `managers` hosts manage, all work."""
        first, *others = self.hosts()
        port = 2377
        own = {"ListenAddr": f"{first.address}:{port}", "AdvertiseAddr": first.address, "Spec": {}}
        self.engine(first.index, "POST", "/swarm/init", own)
        tokens = self.engine(first.index, "GET", "/swarm")["JoinTokens"]
        for position, host in enumerate(others, 1):
            joining = {
                "ListenAddr": f"{host.address}:{port}",
                "AdvertiseAddr": host.address,
                "RemoteAddrs": [f"{first.address}:{port}"],
                "JoinToken": tokens["Manager" if position < managers else "Worker"],
            }
            self.engine(host.index, "POST", "/swarm/join", joining)

    def unswarm(self) -> None:
        """Take all engines out of their Docker Swarm, the first manager last."""
        for host in reversed(self.hosts()):
            if self.engine(host.index, "GET", "/info")["Swarm"]["LocalNodeState"] != "inactive":
                self.engine(host.index, "POST", "/swarm/leave?force=1")

    # ---- inside

    def _refuse_long_paths(self) -> None:
        longest = self.host(min(99, self.subnet.num_addresses - 3)).stackd_socket
        if len(os.fsencode(longest)) > MAX_SOCKET_PATH_BYTES:
            raise LabError(
                f"{longest}: longer than the {MAX_SOCKET_PATH_BYTES} bytes a unix socket's path may have; "
                "set STACKYARD_LAB to a shorter folder"
            )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep two commands from building and removing the same lab at the same time."""
        with (self.state / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _leftovers(self) -> list[Host]:
        """Hosts that still have a namespace or a control group, perhaps without a folder."""
        places = [NETNS, CGROUPS, *CGROUPS.glob("*/")]
        names = {
            p.name for place in places if place.is_dir() for p in place.glob(f"{self.label}-h*")
        }
        return [self.host(name.rpartition("-")[2]) for name in names]

    def _start(
        self,
        host: Host,
        what: Service,
        endpoint: Path,
        command: Sequence[str],
        extra: dict[str, str],
    ) -> None:
        """Start a long-lived program in a host and wait until its API answers."""
        if running(host, what):
            return
        endpoint.unlink(missing_ok=True)
        script = 'log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'
        entered = self.argv_in(host.index, "sh", "-c", script, "sh", str(host.log(what)), *command)
        inner = int(run(*entered, env={**environment(), **extra}).stdout)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if not running(host, what):
                found = [pid for pid in members(host) if inner_pid(pid) == inner]
                if not found:
                    raise LabError(f"{what} on {host.name} ended at once: {tail(host.log(what))}")
                remember(host, what, found[0])
            with contextlib.suppress(OSError, LabError, http.client.HTTPException):
                call(endpoint, "GET", "/_ping", timeout_s=5)
                return
            time.sleep(0.03)
        raise LabError(f"{what} on {host.name} does not answer after 60 s: {tail(host.log(what))}")
