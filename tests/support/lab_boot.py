"""Starting a host of a lab: namespaces, /run, /sys, /etc and process 1."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from tests.support.lab_host import (
    NETNS,
    Host,
    LabError,
    home_cgroup,
    inner_pid,
    members,
    remember,
    run,
    tail,
)


def boot(host: Host, hosts: Iterable[Host], name_server: str) -> None:
    """Start a host's process 1 in namespaces of its own.

    Args:
        host: plugged in, and not running.
        hosts: those whose names it shall know.
        name_server: address of who looks names up for it.
    """
    for folder in ("docker", "data"):
        (host.folder / folder).mkdir(exist_ok=True)
    names = "".join(f"{h.address} {h.name}\n" for h in {*hosts, host})
    (host.folder / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
    (host.folder / "resolv.conf").write_text(
        f"nameserver {name_server}\noptions timeout:1 attempts:1\n"
    )
    home = home_cgroup(host)
    home.mkdir(parents=True, exist_ok=True)
    (host.folder / "init.sh").write_text(INIT)
    start = (
        'echo 0 >"$1/cgroup.procs" && exec nsenter --net="$2" '
        "unshare --mount --propagation slave --uts --ipc --pid --fork --kill-child --mount-proc "
        'sh "$3/init.sh" "$4" "$3" </dev/null >"$3/init.log" 2>&1'
    )
    # --fork: the process is nobody's child here, so that it can outlive this program.
    run(
        "setsid",
        "--fork",
        "sh",
        "-c",
        start,
        "sh",
        str(home),
        str(NETNS / host.label),
        str(host.folder),
        host.name,
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for pid in members(host):
            if inner_pid(pid) == 1 and Path(f"/proc/{pid}/root/run/booted").exists():
                remember(host, "init", pid)
                return
        time.sleep(0.01)
    raise LabError(f"{host.name} did not boot: {tail(host.log('init'))}")


# $1 name, $2 folder. A fresh /sys shows this network namespace; what is mounted below the old one is
# carried over. /etc is a layer over the machine's, so that a host can change it for itself.
INIT = """\
set -eu
hostname "$1"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sys /run/lock /run/etc/upper /run/etc/work
mount -t sysfs sysfs /run/sys
for place in fs/cgroup kernel/security; do
    if [ -d /run/sys/$place ]; then mount --rbind /sys/$place /run/sys/$place; fi
done
mount --move /run/sys /sys
mount -t overlay lab-etc -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work /etc
rm -f /etc/resolv.conf /etc/hosts
cp "$2/resolv.conf" "$2/hosts" /etc/
echo "$1" >/etc/hostname
mkdir -p /etc/docker
mount --bind "$2/docker" /etc/docker
: >/run/booted
# With this signal ignored, which lasts through exec, the kernel reaps the orphans process 1 is given.
trap '' CHLD
exec sleep infinity
"""
