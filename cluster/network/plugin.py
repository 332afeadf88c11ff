"""The engine's network driver: its calls, turned into endpoints of the node's networks.

The engine calls these methods while it holds locks of its own; nothing here may call the engine.
A method that is repeated after a failure must work again. Protocol: libnetwork's remote driver.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final, Protocol

import msgspec
import structlog

from cluster.errors import InvalidArgument
from cluster.model.network_view import ADDRESS_OPTION, DRIVER_NAME, GATEWAY_OPTION, NETWORK_OPTION
from cluster.network.http_socket import Answer, Request
from cluster.network.names import task_mac
from cluster.network.stored_state import EngineEndpoint, EnginePort

log = structlog.get_logger()

CONTENT_TYPE: Final = "application/vnd.docker.plugins.v1.2+json"
GENERIC: Final = "com.docker.network.generic"
PORT_MAP: Final = "com.docker.network.portmap"
PROTOCOL_NAMES: Final = {6: "tcp", 17: "udp", 132: "sctp"}


class EndpointPort(Protocol):
    """What the driver needs of the node's networks; called in the network thread."""

    def add_engine_network(self, engine_network: str, network_id: str) -> None:
        """Remember for which network of the cluster an engine's network stands."""

    def remove_engine_network(self, engine_network: str) -> None:
        """Forget an engine's network."""

    def engine_network(self, engine_network: str) -> str:
        """Return the cluster's ID of an engine's network.

        Raises:
            NotFound: no such network was created.
        """

    def add_endpoint(self, endpoint_id: str, endpoint: EngineEndpoint) -> None:
        """Remember a container's place, before it starts."""

    def join(self, endpoint_id: str, sandbox: str) -> tuple[str, str]:
        """Make a container's link: the name of its end, and the gateway or ""."""

    def publish(self) -> None:
        """Publish the ports of containers whose way out is ours, which the engine left to us."""

    def leave(self, endpoint_id: str) -> None:
        """Remove a container's link."""

    def remove_endpoint(self, endpoint_id: str) -> None:
        """Forget a container's place."""


class Plugin:
    """Answers the engine."""

    def __init__(self, networks: EndpointPort, thread: Executor) -> None:
        self._networks = networks
        self._thread = thread
        self._methods: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "Plugin.Activate": lambda _: {"Implements": ["NetworkDriver"]},
            "NetworkDriver.GetCapabilities": lambda _: {
                "Scope": "local",
                "ConnectivityScope": "global",
            },
            "NetworkDriver.CreateNetwork": self._create_network,
            "NetworkDriver.DeleteNetwork": self._delete_network,
            "NetworkDriver.CreateEndpoint": self._create_endpoint,
            "NetworkDriver.EndpointOperInfo": lambda _: {"Value": {}},
            "NetworkDriver.DeleteEndpoint": self._delete_endpoint,
            "NetworkDriver.Join": self._join,
            "NetworkDriver.Leave": self._leave,
            "NetworkDriver.DiscoverNew": lambda _: {},
            "NetworkDriver.DiscoverDelete": lambda _: {},
            "NetworkDriver.ProgramExternalConnectivity": self._publish,
            "NetworkDriver.RevokeExternalConnectivity": lambda _: {},
        }

    async def handle(self, request: Request) -> Answer:
        """Answer one call; errors become the member ``Err``, which the engine shows to the user."""
        if request.path == "/_ping":
            return Answer(200, b'"OK"')
        method = self._methods.get(request.path.removeprefix("/"))
        if method is None:
            return _answer(404, {"Err": f"{DRIVER_NAME}: {request.path} is not offered"})
        arguments = msgspec.json.decode(request.body) if request.body.strip() else {}
        loop = asyncio.get_running_loop()
        try:
            return _answer(200, await loop.run_in_executor(self._thread, method, arguments))
        except Exception as error:  # noqa: BLE001 - the engine and its user must hear of it
            log.warning("engine's call failed", method=request.path, error=str(error))
            return _answer(500, {"Err": f"{DRIVER_NAME}: {error}"})

    def _create_network(self, call: dict[str, Any]) -> dict[str, Any]:
        options = (call.get("Options") or {}).get(GENERIC) or {}
        network_id = options.get(NETWORK_OPTION)
        if not network_id:
            raise InvalidArgument(
                f"option {NETWORK_OPTION} is missing: networks of this driver are made by the"
                " cluster; use `docker network create --driver overlay` on the cluster's socket"
            )
        self._networks.add_engine_network(call["NetworkID"], network_id)
        return {}

    def _delete_network(self, call: dict[str, Any]) -> dict[str, Any]:
        self._networks.remove_engine_network(call["NetworkID"])
        return {}

    def _create_endpoint(self, call: dict[str, Any]) -> dict[str, Any]:
        options, given = call.get("Options") or {}, call.get("Interface") or {}
        text = options.get(ADDRESS_OPTION) or given.get("Address")
        if not text:
            raise InvalidArgument(
                f"endpoint option {ADDRESS_OPTION} is missing: addresses are given by the cluster;"
                " connect containers through the cluster's socket"
            )
        try:
            interface = ipaddress.IPv4Interface(text)
        except ValueError as error:
            raise InvalidArgument(
                f"{ADDRESS_OPTION}: {error}; want an address like 10.0.1.5/24"
            ) from None
        address = str(interface.ip)
        self._networks.add_endpoint(
            call["EndpointID"],
            EngineEndpoint(
                engine_network=call["NetworkID"],
                network_id=self._networks.engine_network(call["NetworkID"]),
                address=address,
                prefix=interface.network.prefixlen,
                is_gateway=str(options.get(GATEWAY_OPTION, "")) == "1",
                ports=tuple(_port(entry) for entry in options.get(PORT_MAP) or ()),
            ),
        )
        # What the engine gave already must not be given back.
        answer = {}
        if not given.get("Address"):
            answer["Address"] = str(interface)
        if not given.get("MacAddress"):
            answer["MacAddress"] = task_mac(address)
        return {"Interface": answer}

    def _delete_endpoint(self, call: dict[str, Any]) -> dict[str, Any]:
        self._networks.remove_endpoint(call["EndpointID"])
        return {}

    def _join(self, call: dict[str, Any]) -> dict[str, Any]:
        name, gateway = self._networks.join(call["EndpointID"], call.get("SandboxKey") or "-")
        answer: dict[str, Any] = {"InterfaceName": {"SrcName": name, "DstPrefix": "eth"}}
        if gateway:
            answer["Gateway"] = gateway
        return answer

    def _publish(self, _: dict[str, Any]) -> dict[str, Any]:
        self._networks.publish()
        return {}

    def _leave(self, call: dict[str, Any]) -> dict[str, Any]:
        self._networks.leave(call["EndpointID"])
        return {}


def _port(entry: dict[str, Any]) -> EnginePort:
    return EnginePort(
        protocol=PROTOCOL_NAMES.get(entry.get("Proto", 0), ""),
        published_port=entry.get("HostPort") or 0,
        target_port=entry["Port"],
        host_ip=entry.get("HostIP") or "",
    )


def _answer(status: int, value: dict[str, Any]) -> Answer:
    return Answer(status, msgspec.json.encode(value), CONTENT_TYPE)
