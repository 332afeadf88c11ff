"""Looks for trouble on this node: the way to managers, other nodes' networks, the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from cluster.clock import Clock
from cluster.errors import ClusterError
from cluster.executor.network_process import NetworkProcessClient
from cluster.model.diagnosis import DiagnosisOrder, NetworkDiagnosis, NodeDiagnosis
from cluster.rpc.join_client import split_addr

CONNECT_LIMIT_S: Final = 4.0


async def diagnose(
    order: DiagnosisOrder, process: NetworkProcessClient, clock: Clock
) -> NodeDiagnosis:
    """Carry out an order."""
    asked_at = clock.now()
    async with asyncio.TaskGroup() as group:
        reached = group.create_task(_reach_all(order.managers))
        networks = group.create_task(_look_at_networks(order, process))
    network, error = networks.result()
    return NodeDiagnosis(
        asked_at=asked_at,
        answered_at=clock.now(),
        managers=dict(zip(order.managers, reached.result(), strict=True)),
        network=network,
        error=error,
    )


async def _look_at_networks(
    order: DiagnosisOrder, process: NetworkProcessClient
) -> tuple[NetworkDiagnosis | None, str]:
    if not process.accepts():
        return None, "stack-netd does not run"
    if not order.own_index:
        return None, "the node has no number yet"
    try:
        return await process.diagnose(order), ""
    except ClusterError as error:
        return None, str(error)


async def _reach_all(addresses: Sequence[str]) -> list[str]:
    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(_reach(address)) for address in addresses]
    return [one.result() for one in tries]


async def _reach(address: str) -> str:
    """Return why a TCP connection cannot be made, "" if it can."""
    host, port = split_addr(address)
    try:
        async with asyncio.timeout(CONNECT_LIMIT_S):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"no answer within {CONNECT_LIMIT_S:.0f} s"
    except OSError as error:
        return error.strerror or str(error)
    writer.close()
    return ""
