"""The network process: plugin, control socket, names, and the one thread that changes the kernel.

It needs no manager and no engine to start: what is stored is made so at once, while calls that
come in wait their turn. It ends without touching the data plane.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from cluster.errors import FatalStorageError, InvalidArgument, Unavailable
from cluster.model.diagnosis import DiagnosisOrder, NetworkDiagnosis
from cluster.model.network_view import NodeView
from cluster.network.dns_server import DnsServer, NameCounts
from cluster.network.engine_listing import Listing, engine_listing, engine_places
from cluster.network.http_socket import Answer, Request, serving
from cluster.network.node_network import NodeNetwork
from cluster.network.openings import LOOK_EVERY_S
from cluster.network.plugin import Plugin
from cluster.network.probe import try_peers

log = structlog.get_logger()

VERIFY_EVERY_S: Final = 15.0
RETRY_EVERY_S: Final = 2.0
SWEEP_EVERY_S: Final = 60.0


class NetworkProcess:
    """Everything that `stack-netd` runs."""

    def __init__(
        self, *, state_dir: Path, control_socket: Path, plugin_socket: Path, engine_socket: Path
    ) -> None:
        self._state_dir = state_dir
        self._control_socket = control_socket
        self._plugin_socket = plugin_socket
        self._engine_socket = engine_socket
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="network")
        self._name_problems: dict[str, str] = {}
        self._suspects = Listing(frozenset(), frozenset())

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set.

        Raises:
            FatalStorageError: the stored state cannot be read.
            FailedPrecondition: a socket or a library cannot be had.
        """
        network = await self._call(NodeNetwork, self._state_dir)
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._serve(network, tasks, stop)
        finally:
            await self._call(network.close)
            self._thread.shutdown()

    async def _serve(
        self, network: NodeNetwork, tasks: asyncio.TaskGroup, stop: asyncio.Event
    ) -> None:
        dns = DnsServer(tasks, random.SystemRandom())
        plugin = Plugin(network, self._thread)
        restored = tasks.create_task(self._restore(network, dns))

        async def control(request: Request) -> Answer:
            return await self._control(request, network, dns)

        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(serving(self._plugin_socket, plugin.handle))
            await stack.enter_async_context(serving(self._control_socket, control))
            stack.callback(dns.close)
            notify_ready()
            log.info("network process listens", plugin=str(self._plugin_socket))
            await restored
            loops = [tasks.create_task(self._verify(network, dns))]
            loops.append(tasks.create_task(self._sweep(network)))
            loops.append(tasks.create_task(self._adopt(network)))
            await stop.wait()
            for loop in loops:
                loop.cancel()

    async def _restore(self, network: NodeNetwork, dns: DnsServer) -> None:
        await self._call(network.reconcile)
        await self._update_names(network, dns)

    async def _control(self, request: Request, network: NodeNetwork, dns: DnsServer) -> Answer:
        match request.method, request.path:
            case "GET", "/_ping":
                return Answer(200, b'"OK"')
            case "PUT", "/view":
                try:
                    view = msgspec.json.decode(request.body, type=NodeView)
                except msgspec.DecodeError as error:
                    raise InvalidArgument(f"view: {error}") from None
                problems = await self._call(network.set_view, view)
                await self._update_names(network, dns)
                await self._until_settled(network)
                problems = {**self._name_problems, **problems}
                return _json({"revision": view.revision, "problems": problems})
            case "GET", "/view":
                return _json(network.view)
            case "POST", "/diagnosis":
                try:
                    order = msgspec.json.decode(request.body, type=DiagnosisOrder)
                except msgspec.DecodeError as error:
                    raise InvalidArgument(f"order: {error}") from None
                return _json(await self._diagnose(order, network))
            case "GET", "/status":
                status = await self._call(network.status)
                status["names"] = {"queries": dns.queries, "problems": self._name_problems}
                return _json(status)
            case "GET", "/counters":
                counters = msgspec.to_builtins(await self._call(network.counters))
                for shown in counters["networks"]:
                    shown["names"] = dns.counted.get(shown["id"], NameCounts())
                return _json(counters)
            case _:
                known = "PUT /view, GET /view, GET /status, GET /counters or POST /diagnosis"
                return Answer(404, msgspec.json.encode({"message": f"want {known}"}))

    async def _diagnose(self, order: DiagnosisOrder, network: NodeNetwork) -> NetworkDiagnosis:
        leftovers = await self._call(network.leftovers)
        status = await self._call(network.status)
        probe = await self._call(network.open_probe, order)
        try:
            peers = await try_peers(probe, order)
        finally:
            await self._call(network.close_probe)
        problems = {**self._name_problems, **status["problems"]}
        return NetworkDiagnosis(mtu=probe.mtu, peers=peers, leftovers=leftovers, problems=problems)

    async def _until_settled(self, network: NodeNetwork) -> None:
        while True:
            if await self._call(network.settle):
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def _update_names(self, network: NodeNetwork, dns: DnsServer) -> None:
        if (view := network.view) is not None:
            self._name_problems = await dns.update(view)

    async def _verify(self, network: NodeNetwork, dns: DnsServer) -> None:
        thoroughly = True
        while True:
            try:
                await self._call(functools.partial(network.verify, thoroughly=thoroughly))
                await self._update_names(network, dns)
            except FatalStorageError:
                raise
            except Exception:  # the data plane stays as it is; the next round may do better
                log.exception("the data plane could not be verified")
            thoroughly = not thoroughly
            is_well = network.is_as_wanted and not self._name_problems
            await asyncio.sleep(VERIFY_EVERY_S if is_well else RETRY_EVERY_S)

    async def _sweep(self, network: NodeNetwork) -> None:
        """Remove what the engine did not list twice in a row."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            with contextlib.suppress(Unavailable):
                await self.sweep_once(network)

    async def sweep_once(self, network: NodeNetwork) -> None:
        """Look once for endpoints and networks that the engine does not list.

        Raises:
            Unavailable: the engine does not answer.
        """
        endpoints = await self._call(network.endpoints)
        networks = await self._call(network.engine_networks)
        listed = await engine_listing(self._engine_socket)
        unlisted = Listing(endpoints - listed.endpoints, networks - listed.networks)
        for endpoint_id in sorted(unlisted.endpoints & self._suspects.endpoints):
            log.info("leftover endpoint removed", endpoint=endpoint_id[:12])
            await self._call(network.remove_endpoint, endpoint_id)
        for network_id in sorted(unlisted.networks & self._suspects.networks):
            log.info("leftover engine network forgotten", network=network_id[:12])
            await self._call(network.remove_engine_network, network_id)
        self._suspects = unlisted

    async def _adopt(self, network: NodeNetwork) -> None:
        """Ask the engine for what is not known here (any more), whenever something may be."""
        while True:
            if network.is_partial:
                with contextlib.suppress(Unavailable):
                    places = await engine_places(self._engine_socket)
                    await self._call(network.adopt, places)
            await asyncio.sleep(RETRY_EVERY_S)

    async def _call(self, act: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, act, *arguments)


def notify_ready() -> None:
    """Tell systemd, if it started this process, that the sockets are there."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.send(b"READY=1")


def _json(value: Any) -> Answer:
    return Answer(200, msgspec.json.encode(value))
