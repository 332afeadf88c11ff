"""Whether the local engine is one that a node can have."""

from __future__ import annotations

from pathlib import Path

from cluster.errors import FailedPrecondition
from cluster.executor.engine import Engine


async def check_engine(engine_socket: Path) -> None:
    """Refuse to become a member beside an engine that is in a Docker Swarm itself.

    Raises:
        Unavailable: the engine does not answer.
        FailedPrecondition: it is in a swarm.
    """
    async with Engine(f"unix://{engine_socket}") as engine:
        info = await engine.info()
    state = info.get("Swarm", {}).get("LocalNodeState", "inactive")
    if state not in ("", "inactive"):
        raise FailedPrecondition(
            f"the Docker Engine at {engine_socket} is itself in a swarm"
            f" ({state}): run `docker swarm leave` against that socket first"
        )
