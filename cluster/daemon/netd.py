"""`stack-netd`: options, environment, exit codes of a node's network process."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import click

from cluster.daemon.log_setup import LEVELS, set_up_logs
from cluster.errors import ClusterError, FatalStorageError

DEFAULT_STATE_DIR = Path("/var/lib/stackyard/netd")
DEFAULT_SOCKET = Path("/run/stackyard/netd.sock")
DEFAULT_PLUGIN_SOCKET = Path("/run/docker/plugins/stackyard.sock")
DEFAULT_ENGINE = "unix:///var/run/docker.sock"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_STATE_DIR,
    show_default=True,
    envvar="STACK_NETD_STATE_DIR",
    help="Folder in which the wanted networks are kept for the next start.",
)
@click.option(
    "--socket",
    "control_socket",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_SOCKET,
    show_default=True,
    envvar="STACK_NETD_SOCKET",
    help="Unix socket on which the node's stackd says what should be.",
)
@click.option(
    "--plugin-socket",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_PLUGIN_SOCKET,
    show_default=True,
    envvar="STACK_NETD_PLUGIN_SOCKET",
    help="Unix socket on which the local Docker Engine finds the network driver.",
)
@click.option(
    "--engine",
    default=DEFAULT_ENGINE,
    show_default=True,
    envvar="STACK_NETD_ENGINE",
    help="The local Docker Engine, as unix://PATH; asked which containers still exist.",
)
@click.option(
    "--log-level",
    type=click.Choice(list(LEVELS)),
    default="info",
    show_default=True,
    envvar="STACK_NETD_LOG_LEVEL",
)
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
        for error in _leaves(group):
            click.echo(f"stack-netd: {error}", err=True)
        sys.exit(1)


async def _run(process: object) -> None:
    from cluster.network.process import NetworkProcess  # as in main

    assert isinstance(process, NetworkProcess)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await process.run(stop)


def _leaves(group: BaseExceptionGroup[Exception]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


if __name__ == "__main__":
    main()
