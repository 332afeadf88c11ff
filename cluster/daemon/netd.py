"""`stack-netd`: options, environment, exit codes of a node's network process."""

from __future__ import annotations

import asyncio
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
from cluster.daemon.config import DEFAULT_NETWORK_SOCKET
from cluster.daemon.log_setup import set_up_logs
from cluster.errors import ClusterError, FatalStorageError

DEFAULT_STATE_DIR = Path("/var/lib/stackyard/netd")
DEFAULT_PLUGIN_SOCKET = Path("/run/docker/plugins/stackyard.sock")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@folder_option(
    "--state-dir",
    default=DEFAULT_STATE_DIR,
    envvar="STACK_NETD_STATE_DIR",
    text="Folder in which the wanted networks are kept for the next start.",
)
@socket_option(
    "--socket",
    "control_socket",
    default=DEFAULT_NETWORK_SOCKET,
    envvar="STACK_NETD_SOCKET",
    text="Unix socket on which the node's stackd says what should be.",
)
@socket_option(
    "--plugin-socket",
    default=DEFAULT_PLUGIN_SOCKET,
    envvar="STACK_NETD_PLUGIN_SOCKET",
    text="Unix socket on which the local Docker Engine finds the network driver.",
)
@engine_option(
    envvar="STACK_NETD_ENGINE",
    text="The local Docker Engine, as unix://PATH; asked which containers still exist.",
)
@log_level_option(envvar="STACK_NETD_LOG_LEVEL")
@click.version_option(package_name="stackyard", prog_name="stack-netd")
def main(
    *, state_dir: Path, control_socket: Path, plugin_socket: Path, engine: str, log_level: str
) -> None:
    """Run the networks of this node: the engine's driver, tunnels, names and balancing.

    Start it before the Docker Engine, in the same network and mount namespaces. What was wanted
    last is made so at once, without a manager. SIGTERM and SIGINT stop the process; connections
    and networks stay as they are, only names are not answered until it runs again.

    Exit codes: 0 stopped by a signal, 1 it could not start or go on, 2 bad usage.
    """
    if not engine.startswith("unix:///"):
        raise click.BadParameter(f"{engine!r} is not unix:///PATH", param_hint="--engine")
    set_up_logs(log_level)
    # the import is heavy; --help needs none of it
    from cluster.network.process import NetworkProcess

    try:
        process = NetworkProcess(
            state_dir=state_dir.absolute(),
            control_socket=control_socket.absolute(),
            plugin_socket=plugin_socket.absolute(),
            engine_socket=Path(engine.removeprefix("unix://")),
        )
        asyncio.run(_run(process))
    except* (ClusterError, FatalStorageError, OSError) as group:
        for error in each_error(group):
            click.echo(f"stack-netd: {error}", err=True)
        sys.exit(1)


async def _run(process: object) -> None:
    from cluster.network.process import NetworkProcess  # as in main

    assert isinstance(process, NetworkProcess)
    await process.run(stop_signal())


if __name__ == "__main__":
    main()
