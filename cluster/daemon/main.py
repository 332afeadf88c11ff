"""`stackd`: options, environment, exit codes."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path

import click

from cluster.daemon.command_line import (
    each_error,
    engine_option,
    folder_option,
    log_level_option,
    socket_option,
    stop_signal,
)
from cluster.daemon.config import (
    DEFAULT_NETWORK_SOCKET,
    DEFAULT_RUN_DIR,
    DEFAULT_SOCKET,
    DEFAULT_STATE_DIR,
    DaemonConfig,
)
from cluster.daemon.log_setup import set_up_logs
from cluster.daemon.tcp_hosts import tcp_endpoints
from cluster.errors import ClusterError, FatalStorageError, InvalidArgument
from cluster.executor.node_description import parse_generic_resources
from cluster.executor.node_policy import FORBIDDABLE, parse_forbidden

SWITCH_INTERVAL_S = 0.0005
"""A busy thread must not hold up the event loop for Python's default of 5 ms a time."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@folder_option(
    "--state-dir",
    default=DEFAULT_STATE_DIR,
    envvar="STACKD_STATE_DIR",
    text="Folder for certificates, the replicated log and what the agent remembers.",
)
@socket_option(
    "--socket",
    default=DEFAULT_SOCKET,
    envvar="STACKD_SOCKET",
    text="Unix socket on which to serve the Docker Engine API.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    envvar="STACKD_HOST",
    metavar="tcp://ADDRESS:PORT",
    help="Serve the API on a TCP address too, to clients with a certificate. May be repeated.",
)
@click.option(
    "--tlscacert",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="STACKD_TLSCACERT",
    help="PEM file of the authority that signs the certificates of clients.",
)
@click.option(
    "--tlscert",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="STACKD_TLSCERT",
    help="PEM file of the certificate that clients are shown.",
)
@click.option(
    "--tlskey",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="STACKD_TLSKEY",
    help="PEM file of its private key.",
)
@click.option(
    "--insecure-tcp",
    is_flag=True,
    help="Serve on --host without TLS; only addresses of this machine itself, such as 127.0.0.1.",
)
@click.option(
    "--accept-tokens",
    is_flag=True,
    envvar="STACKD_ACCEPT_TOKENS",
    help="On --host, let clients without a certificate in who show a deploy token.",
)
@folder_option(
    "--run-dir",
    default=DEFAULT_RUN_DIR,
    envvar="STACKD_RUN_DIR",
    text="Folder below which secrets and configs of tasks are mounted, in memory only.",
)
@engine_option(envvar="STACKD_ENGINE", text="The local Docker Engine, as unix://PATH.")
@socket_option(
    "--network-socket",
    default=DEFAULT_NETWORK_SOCKET,
    envvar="STACKD_NETWORK_SOCKET",
    text="Unix socket of the network process, which joins tasks to the cluster's networks.",
)
@click.option(
    "--hostname",
    default="",
    help="Name of this node in listings; the machine's host name when not given.",
)
@click.option(
    "--advertise-addr",
    default="",
    envvar="STACKD_ADVERTISE_ADDR",
    metavar="ADDRESS",
    help="New IP address of a node that is a member already and has moved; init and join have"
    " an option of their own.",
)
@click.option(
    "--forbid",
    default="",
    envvar="STACKD_FORBID",
    metavar="WORDS",
    help="Refuse tasks that reach into this node, whatever managers say. Words with commas: "
    + ", ".join(FORBIDDABLE)
    + ".",
)
@click.option(
    "--generic-resource",
    "generic_resources",
    multiple=True,
    envvar="STACKD_GENERIC_RESOURCE",
    metavar="KIND=VALUE",
    help="What this node has for tasks that reserve it, beside what the engine names: a number"
    " (ssd=4), or a name for each (gpu=ID-1, gpu=ID-2). May be repeated.",
)
@log_level_option(envvar="STACKD_LOG_LEVEL")
@click.version_option(package_name="stackyard", prog_name="stackd")
def main(  # noqa: PLR0913 - one for each option
    *,
    state_dir: Path,
    socket: Path,
    hosts: tuple[str, ...],
    tlscacert: Path | None,
    tlscert: Path | None,
    tlskey: Path | None,
    insecure_tcp: bool,
    accept_tokens: bool,
    run_dir: Path,
    engine: str,
    network_socket: Path,
    hostname: str,
    advertise_addr: str,
    forbid: str,
    generic_resources: tuple[str, ...],
    log_level: str,
) -> None:
    """Run a node of the cluster beside its local Docker Engine.

    A new node belongs to no cluster and serves the engine's own API; `stack cluster init` or
    `stack cluster join` (or `docker swarm init` and `join`) on its socket make it a member.  It
    remembers that in the state folder.  SIGTERM and SIGINT stop the process and leave the
    containers running.

    Exit codes: 0 stopped by a signal, 1 it could not start or go on, 2 bad usage.
    """
    if not engine.startswith("unix:///"):
        raise click.BadParameter(
            f"{engine!r} is not unix:///PATH: stackd works beside the engine of its own machine",
            param_hint="--engine",
        )
    try:
        forbidden = parse_forbidden(forbid)
    except InvalidArgument as wrong:
        raise click.BadParameter(str(wrong), param_hint="--forbid") from wrong
    try:
        resources = parse_generic_resources(generic_resources)
    except InvalidArgument as wrong:
        raise click.BadParameter(str(wrong), param_hint="--generic-resource") from wrong
    try:
        tcp = tcp_endpoints(
            hosts,
            authority=tlscacert,
            certificate=tlscert,
            key=tlskey,
            is_plain=insecure_tcp,
            accepts_tokens=accept_tokens,
        )
    except InvalidArgument as wrong:
        raise click.UsageError(str(wrong)) from wrong
    config = DaemonConfig(
        state_dir=state_dir.absolute(),
        socket=socket.absolute(),
        tcp=tcp,
        run_dir=run_dir.absolute(),
        engine_socket=Path(engine.removeprefix("unix://")),
        network_socket=network_socket.absolute(),
        hostname=hostname or os.uname().nodename,
        advertise_addr=advertise_addr,
        generic_resources=resources,
        forbidden=forbidden,
    )
    set_up_logs(log_level)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        asyncio.run(_run(config))
    except* (ClusterError, FatalStorageError, OSError) as group:
        for error in each_error(group):
            click.echo(f"stackd: {error}", err=True)
        sys.exit(1)


async def _run(config: DaemonConfig) -> None:
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    # the import is heavy; --help needs none of it
    from cluster.daemon.process import NodeProcess

    gc.freeze()  # modules live for ever: full collections need not look at them
    await NodeProcess(config).run(stop_signal())


if __name__ == "__main__":
    main()
