"""The command `scripts/lab`: a lab of several hosts, from a shell."""

import argparse
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence

from tests.support.lab import SUBNET, Lab
from tests.support.lab_engine import image_archive
from tests.support.lab_host import ROOT, Host, LabError, environment, in_parallel, why_impossible


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out `scripts/lab …`."""
    options = command_line().parse_args(arguments)
    try:
        lab = Lab(options.name, subnet=options.subnet)
        result = options.do(lab, options)
        return int(result or 0)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def command_line() -> argparse.ArgumentParser:
    """The options and commands of `scripts/lab`."""
    parser = argparse.ArgumentParser(
        prog="scripts/lab",
        description="Several hosts on one machine, with a real Docker Engine in each.",
        epilog="HOST is h1, h2, … or just the number. The state is kept in .lab, or in $STACKYARD_LAB.",
    )
    parser.add_argument("--name", default="", help="another lab than the main one")
    parser.add_argument("--subnet", help=f"IPv4 network of the hosts (default {SUBNET})")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, do: Callable[[Lab, argparse.Namespace], object], text: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(do=do)
        return command

    up = add("up", do_up, "bring up N hosts with their engines")
    up.add_argument("count", type=int, metavar="N")
    up.add_argument("--stackd", action="store_true", help="start stackd in each host as well")
    up.add_argument("--images", default="hello", help="sets of images to load: hello,guestbook")
    add("down", lambda lab, _: lab.down(), "remove hosts, processes, namespaces and data")
    add("status", do_status, "show hosts and what runs in them")
    add("check", do_check, "say whether this machine can have a lab")
    inside = add("exec", do_exec, "run a command inside a host")
    inside.add_argument("host", metavar="HOST")
    inside.add_argument("command", metavar="CMD", nargs=argparse.REMAINDER)
    env = add("env", do_env, 'print variables for a shell: eval "$(scripts/lab env h1)"')
    env.add_argument("host", metavar="HOST")
    for verb, does in (
        ("start", "start"),
        ("stop", "send SIGTERM to"),
        ("kill", "send SIGKILL to"),
    ):
        command = add(verb, do_service, f"{does} the engine, stackd or stack-netd of hosts")
        command.set_defaults(verb=verb)
        command.add_argument("--netd", action="store_true", help="stack-netd instead of the engine")
        command.add_argument("--stackd", action="store_true", help="stackd instead of the engine")
        command.add_argument("hosts", metavar="HOST", nargs="+")
    for verb in ("poweroff", "poweron"):
        command = add(verb, do_power, f"{verb} hosts")
        command.set_defaults(verb=verb)
        command.add_argument("hosts", metavar="HOST", nargs="+")
    link = add("link", lambda lab, o: lab.link(o.host, o.state), "cut or restore a host's cable")
    link.add_argument("host", metavar="HOST")
    link.add_argument("state", choices=("up", "down"))
    load = add("load", do_load, "load sets of images into all engines: hello, guestbook")
    load.add_argument("sets", metavar="SET", nargs="+")
    swarm = add(
        "swarm", lambda lab, o: lab.swarm(o.managers), "make a real Docker Swarm of the engines"
    )
    swarm.add_argument("managers", type=int, metavar="MANAGERS")
    add("unswarm", lambda lab, _: lab.unswarm(), "take the engines out of their Docker Swarm")
    add("sockets", do_sockets, "print the engines' sockets, one a line")
    add("cpu", do_cpu, "print the CPU seconds each host has used")
    return parser


def do_up(lab: Lab, options: argparse.Namespace) -> None:
    """Bring hosts up and say where they are."""
    if options.count < 1:
        raise LabError(f"up {options.count}: want at least 1 host")
    began = time.monotonic()
    lab.up(options.count, stackd=options.stackd, images=[s for s in options.images.split(",") if s])
    print(f"{options.count} hosts are up in {lab.state} after {time.monotonic() - began:.1f} s")


def do_status(lab: Lab, options: argparse.Namespace) -> None:
    """Print a table of the hosts."""
    rows = lab.status()
    if not rows:
        print(f"no lab is up in {lab.state}")
        return
    widths = {key: max(len(key), *(len(row[key]) for row in rows)) for key in rows[0]}
    for line in ({key: key for key in widths}, *rows):
        print("  ".join(line[key].ljust(width) for key, width in widths.items()).rstrip())


def do_check(lab: Lab, options: argparse.Namespace) -> int:
    """Exit code 0 if a lab can be brought up here, else 1 and the reason."""
    reason = why_impossible()
    if reason:
        print(f"lab: {reason}", file=sys.stderr)
    return 1 if reason else 0


def do_exec(lab: Lab, options: argparse.Namespace) -> None:
    """Become the command inside the host."""
    command = lab.argv_in(options.host, *(options.command or ["bash"]))
    os.execvpe(command[0], command, environment())


def do_env(lab: Lab, options: argparse.Namespace) -> None:
    """Print shell assignments that point clients at a host: at stackd if it was started there."""
    host = lab.host(options.host)
    if not host.folder.exists():
        raise LabError(f"{host.name}: no such host; scripts/lab status shows what is up")
    api = host.stackd_socket if host.pid_file("stackd").exists() else host.engine_socket
    print(f"export DOCKER_HOST={shlex.quote(f'unix://{api}')}")
    print(f"export STACKYARD_ENGINE={shlex.quote(f'unix://{host.engine_socket}')}")
    print(f"export PATH={shlex.quote(str(ROOT / '.venv/bin'))}:$PATH")


def do_service(lab: Lab, options: argparse.Namespace) -> None:
    """Start, stop or kill engines or stackds."""
    sig = signal.SIGTERM if options.verb == "stop" else signal.SIGKILL
    for host in options.hosts:
        if options.verb == "start":
            start = lab.start_netd if options.netd else lab.start_engine
            (lab.start_stackd if options.stackd else start)(host)
        else:
            kill = lab.kill_netd if options.netd else lab.kill_engine
            (lab.kill_stackd if options.stackd else kill)(host, sig)


def do_power(lab: Lab, options: argparse.Namespace) -> None:
    """Power hosts off or on."""
    for host in options.hosts:
        (lab.poweron if options.verb == "poweron" else lab.poweroff)(host)


def do_load(lab: Lab, options: argparse.Namespace) -> None:
    """Load images into all engines."""
    archives = [image_archive(name) for name in options.sets]

    def into(host: Host) -> None:
        for archive in archives:
            lab.load_images(host.index, archive)

    in_parallel(into, lab.hosts())


def do_sockets(lab: Lab, options: argparse.Namespace) -> None:
    """Print the engines' sockets."""
    for host in lab.hosts():
        print(host.engine_socket)


def do_cpu(lab: Lab, options: argparse.Namespace) -> None:
    """Print the CPU seconds of each host."""
    for host in lab.hosts():
        print(f"{host.name} {lab.cpu_seconds(host.index):.2f}")


if __name__ == "__main__":
    sys.exit(main())
