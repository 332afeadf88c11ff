"""All networks of this node: the one place that knows what should be and makes it so.

Every method runs in the one network thread; so there are no locks, and the engine's calls and the
agent's views are carried out in the order in which they came. Each network is brought to its view
by itself: what one of them cannot have is reported and tried again, and holds up no other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from cluster.errors import FailedPrecondition, InvalidArgument, NotFound
from cluster.model.diagnosis import DiagnosisOrder
from cluster.model.network_view import IngressView, NetworkView, NodeView
from cluster.network import namespaces, stored_state
from cluster.network.balancer import Balancer
from cluster.network.counters import NodeCounters, network_counters
from cluster.network.engine_listing import EnginePlaces
from cluster.network.ingress import Ingress
from cluster.network.ingress_rules import REFUSED, render_guard
from cluster.network.leftovers import leftovers, unwanted, with_used_networks
from cluster.network.names import (
    TABLE,
    TUNNEL,
    VXLAN_OVERHEAD_V4_BYTES,
    VXLAN_OVERHEAD_V6_BYTES,
    router_link,
)
from cluster.network.netlink import Netlink
from cluster.network.nftables import Nftables
from cluster.network.node_ports import local_ports
from cluster.network.overlay import Overlay, tunnel_settings
from cluster.network.overlay_plan import plan_ingress, plan_overlay
from cluster.network.probe import ProbeNetwork
from cluster.network.stored_state import EngineEndpoint, StoredState

log = structlog.get_logger()

DEFAULT_MTU_BYTES: Final = 1500
HOST: Final = "host"
"""Key of problems that are no single network's."""


class NodeNetwork:
    """The data plane of one node."""

    def __init__(self, folder: Path) -> None:
        """Read what is stored; nothing in the kernel is touched yet.

        Args:
            folder: where the state is kept.

        Raises:
            FatalStorageError: it cannot be read.
        """
        self._folder = folder
        self._state = stored_state.load(folder)
        self._host = Netlink()
        self._host_rules = Nftables()
        self._overlays: dict[str, Overlay] = {}
        self._balancers: dict[str, Balancer] = {}
        self._ingress: Ingress | None = None
        self._guarded = ""
        self._probe: ProbeNetwork | None = None
        self._problems: dict[str, str] = {}

    # ---- the agent's side

    @property
    def view(self) -> NodeView | None:
        """The view that was set last."""
        return self._state.view

    def set_view(self, view: NodeView) -> dict[str, str]:
        """Take a new view, keep it, and make it so.

        Networks that are not in it any more stay until the last container has left them.

        Returns:
            What could not be done: by network ID, or `HOST`.

        Raises:
            FatalStorageError: the view could not be stored.
        """
        old = self._state.view
        retained: tuple[str, ...] = ()
        if old is not None:
            view, retained = with_used_networks(view, old, self._used_networks())
        self._save(view=view, retained=retained)
        return self.reconcile()

    def settle(self) -> bool:
        """Look once; whether no connection is being opened to withdrawn tasks (`Openings`)."""
        openings = [balancer.openings for balancer in self._balancers.values()]
        if self._ingress is not None:
            openings.append(self._ingress.openings)
        waiting = [one for one in openings if not one.settle()]
        return not waiting

    def reconcile(self) -> dict[str, str]:
        """Make the kernel look like the stored view; the problems, as for `set_view`."""
        view = self._state.view
        if view is None:
            return {}
        self._problems = {}
        self._attempt(HOST, lambda: self._guard(view))
        mtu = self._underlay_mtu(view.own_address)
        wanted = {network.id: network for network in view.networks}
        for network in wanted.values():
            self._attempt(network.id, lambda n=network: self._bring(n, view, mtu))
        if (ingress := view.ingress) is not None:
            wanted[ingress.network.id] = ingress.network
            self._attempt(ingress.network.id, lambda: self._bring_ingress(ingress, view, mtu))
        elif self._ingress is not None:
            self._ingress.remove()
            self._ingress = None
        for network_id in self._overlays.keys() - wanted.keys():
            self._attempt(network_id, lambda i=network_id: self._remove(i))
        return dict(self._problems)

    def verify(self, *, thoroughly: bool) -> dict[str, str]:
        """Look whether rules are still there; the problems, as for `set_view`.

        Args:
            thoroughly: also compare routes and addresses with the kernel, and remove what nobody
                wants. It costs some milliseconds a network.
        """
        if thoroughly:
            for overlay in self._overlays.values():
                overlay.doubt()
        for balancer in self._balancers.values():
            balancer.verify()
        if self._guarded and not self._host_rules.has_table("inet", TABLE):
            self._guarded = ""
        problems = self.reconcile()
        if self._ingress is not None:
            self._attempt(HOST, self._ingress.verify)
            if self._ingress.is_doubted:
                problems = self.reconcile()
        if thoroughly and self._knows_all:
            self._collect()
        return problems

    def status(self) -> dict[str, Any]:
        """Return what is there: per network its links and counters, and what is wrong."""
        view = self._state.view
        return {
            "revision": view.revision if view else 0,
            "problems": dict(self._problems),
            "ports": list(self._ingress.problems) if self._ingress else [],
            "networks": [self._network_status(i) for i in sorted(self._overlays)],
        }

    def counters(self) -> NodeCounters:
        """Return what was counted since the rules were loaded and the links made."""
        return NodeCounters(
            networks=tuple(
                network_counters(self._network(i), overlay, self._balancers.get(i))
                for i, overlay in sorted(self._overlays.items())
            ),
            ports=self._ingress.connections() if self._ingress else {},
            refused_tunnel_packets=self._host_rules.counters("inet", TABLE).get(REFUSED, 0),
        )

    @property
    def is_as_wanted(self) -> bool:
        """Whether nothing is left to be tried again."""
        return not self._problems and not (self._ingress and self._ingress.problems)

    def close(self) -> None:
        """Let go of everything and leave the data plane as it is."""
        for overlay in self._overlays.values():
            overlay.close()
        for balancer in self._balancers.values():
            balancer.close()
        if self._ingress is not None:
            self._ingress.close()
        self._host_rules.close()
        self._host.close()

    # ---- the engine's side

    def add_engine_network(self, engine_network: str, network_id: str) -> None:
        """Remember for which network of the cluster an engine's network stands."""
        self._save(engine_networks={**self._state.engine_networks, engine_network: network_id})

    def remove_engine_network(self, engine_network: str) -> None:
        """Forget an engine's network and what is left of containers in it.

        The engine removes a network when nobody is in it any more, and has then forgotten
        containers that were lost with a process of it, without a word about them.
        """
        lost = [k for k, e in self._state.endpoints.items() if e.engine_network == engine_network]
        for endpoint_id in lost:
            log.info("leftover endpoint removed", endpoint=endpoint_id[:12])
            self._drop(endpoint_id)
        kept = {k: v for k, v in self._state.engine_networks.items() if k != engine_network}
        self._save(engine_networks=kept)
        self._forget_unused()

    def engine_networks(self) -> frozenset[str]:
        """Return the engine's networks that are known, by the engine's IDs."""
        return frozenset(self._state.engine_networks)

    def engine_network(self, engine_network: str) -> str:
        """Return the cluster's ID of an engine's network.

        Raises:
            NotFound: no such network was created, or that is forgotten; then `is_partial` is set.
        """
        found = self._state.engine_networks.get(engine_network)
        if found is None:
            self._save(is_partial=True)
            raise NotFound(
                f"engine network {engine_network[:12]} is not known here yet; the engine is being"
                " asked for it: try again"
            )
        return found

    @property
    def is_partial(self) -> bool:
        """Whether the engine may know networks and containers of ours that are not known here."""
        return self._state.is_partial

    def adopt(self, places: EnginePlaces) -> None:
        """Know what the engine knows, as after a loss; what its calls said since then stays."""
        self._save(
            engine_networks={**places.networks, **self._state.engine_networks},
            endpoints={**places.endpoints, **self._state.endpoints},
            is_partial=False,
        )
        self.reconcile()

    def add_endpoint(self, endpoint_id: str, endpoint: EngineEndpoint) -> None:
        """Remember a container's place.

        Raises:
            NotFound: the network is not in this node's view.
            InvalidArgument: the address is not in the network, or another container has it.
        """
        self._overlay(endpoint.network_id)
        for other_id, other in self._state.endpoints.items():
            taken = (other.network_id, other.address) == (endpoint.network_id, endpoint.address)
            if taken and other_id != endpoint_id:
                if other.is_joined and self._has_link(other_id, other):
                    raise InvalidArgument(
                        f"address {endpoint.address} is in use by endpoint {other_id[:12]}"
                    )
                self._drop(other_id)
                break
        self._save(endpoints={**self._state.endpoints, endpoint_id: endpoint})

    def join(self, endpoint_id: str, sandbox: str) -> tuple[str, str]:
        """Make a container's link: the name of its end, and the gateway or "".

        Args:
            endpoint_id: the engine's ID of the endpoint.
            sandbox: what tells the container from others.

        Raises:
            NotFound: endpoint or network are not known.
            InvalidArgument: a port of the container cannot be published here.
        """
        endpoint = self._endpoint(endpoint_id)
        name = self._overlay(endpoint.network_id).attach(endpoint_id, endpoint.address)
        joined = msgspec.structs.replace(endpoint, sandbox=sandbox)
        self._save(endpoints={**self._state.endpoints, endpoint_id: joined})
        local_ports(self._state.endpoints)  # refuses what cannot be
        gateway = self._network(endpoint.network_id).gateway if endpoint.is_gateway else ""
        if gateway and self._ingress is not None:
            self._attempt(HOST, self._ingress.verify)
        return name, gateway

    def publish(self) -> None:
        """Publish ports of own containers, now that the engine's bridge has let go of them."""
        self.reconcile()

    def leave(self, endpoint_id: str) -> None:
        """Remove a container's link; nothing happens where none is."""
        endpoint = self._state.endpoints.get(endpoint_id)
        if endpoint is None:
            return
        if (overlay := self._overlays.get(endpoint.network_id)) is not None:
            overlay.detach(endpoint_id)
        left = msgspec.structs.replace(endpoint, sandbox="")
        self._save(endpoints={**self._state.endpoints, endpoint_id: left})

    def remove_endpoint(self, endpoint_id: str) -> None:
        """Forget a container's place, and its network if that was only kept for it."""
        if endpoint_id in self._state.endpoints:
            self._drop(endpoint_id)
            self._forget_unused()

    def endpoints(self) -> frozenset[str]:
        """Return the endpoints that are known, by the engine's IDs."""
        return frozenset(self._state.endpoints)

    # ---- looking for what is wrong

    def open_probe(self, order: DiagnosisOrder) -> ProbeNetwork:
        """Make the network of probes; `close_probe` takes it away.

        Raises:
            FailedPrecondition: it is there already: somebody else looks right now.
        """
        if self._probe is not None:
            raise FailedPrecondition("this node is being looked at already; try again")
        mtu = self._underlay_mtu(order.own_address)
        self._probe = ProbeNetwork(self._host, order, mtu)
        return self._probe

    def close_probe(self) -> None:
        """Take the network of probes away."""
        if self._probe is not None:
            self._probe.remove()
            self._probe = None

    def leftovers(self) -> tuple[str, ...]:
        """Return links, namespaces and connections that nobody wants, in words."""
        if not self._knows_all:
            return ()
        return leftovers(
            self._overlays,
            self._state.endpoints,
            is_probing=self._probe is not None,
            has_uplink=self._ingress is not None,
        )

    @property
    def _knows_all(self) -> bool:
        """Whether what is not known here is a leftover; never before the first view."""
        return self._state.view is not None and not self._state.is_partial

    # ---- inside

    def _bring(self, network: NetworkView, view: NodeView, mtu: int) -> None:
        overlay = self._ensure_overlay(network)
        plan = plan_overlay(network, view)
        overlay.apply(plan, tunnel_settings(network, view, mtu), strict=True)
        if network.id not in self._balancers:
            self._balancers[network.id] = Balancer(overlay.name)
        self._balancers[network.id].apply(network, view.own_index)

    def _bring_ingress(self, ingress: IngressView, view: NodeView, mtu: int) -> None:
        overlay = self._ensure_overlay(ingress.network)
        if self._ingress is not None and self._ingress.network_id != ingress.network.id:
            self._ingress.remove()  # the network was made anew, and this node never saw it gone
            self._ingress = None
        if self._ingress is None:
            self._ingress = Ingress(self._host, self._host_rules, overlay, ingress.network.id)
            self._ingress.ensure_uplink()
            self._ingress.verify()
        overlay.apply(
            plan_ingress(ingress, view), tunnel_settings(ingress.network, view, mtu), strict=False
        )
        self._ingress.apply(ingress, view, local_ports(self._state.endpoints))

    def _ensure_overlay(self, network: NetworkView) -> Overlay:
        found = self._overlays.get(network.id)
        if found is None:
            found = self._overlays[network.id] = Overlay(self._host, network.id)
        return found

    def _guard(self, view: NodeView) -> None:
        text = render_guard(view) if view.networks or view.ingress else ""
        if text != self._guarded:
            remove = f"add table inet {TABLE}\ndelete table inet {TABLE}\n"
            self._host_rules.run(text or remove)
            self._guarded = text

    def _underlay_mtu(self, own_address: str) -> int:
        device = self._host.device_of_address(own_address)
        links = self._host.links()
        size = links[device].mtu if device in links else DEFAULT_MTU_BYTES
        is_v6 = ":" in own_address
        overhead = VXLAN_OVERHEAD_V6_BYTES if is_v6 else VXLAN_OVERHEAD_V4_BYTES
        return min(size, 65535) - overhead

    def _attempt(self, key: str, act: Any) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - one network's trouble must not stop others
            if key not in self._problems:
                log.warning("network not as wanted", network=key, error=str(error))
            self._problems[key] = str(error) or type(error).__name__
            if key in self._overlays:
                self._overlays[key].doubt()

    def _remove(self, network_id: str) -> None:
        overlay = self._overlays.pop(network_id)
        if (balancer := self._balancers.pop(network_id, None)) is not None:
            balancer.close()
        overlay.remove()

    def _collect(self) -> None:
        """Remove links and namespaces that nobody wants, as those of an engine's lost calls."""
        links, spaces = unwanted(
            self._overlays, self._state.endpoints, is_probing=self._probe is not None
        )
        for overlay, name in links:
            log.info("leftover link removed", link=name, namespace=overlay.name)
            overlay.netlink.delete_link(name)
        for name in spaces:
            log.info("leftover namespace removed", namespace=name)
            namespaces.remove(name)

    def _drop(self, endpoint_id: str) -> None:
        endpoint = self._state.endpoints[endpoint_id]
        if (overlay := self._overlays.get(endpoint.network_id)) is not None:
            overlay.detach(endpoint_id)
        kept = {k: v for k, v in self._state.endpoints.items() if k != endpoint_id}
        self._save(endpoints=kept)
        if endpoint.ports or endpoint.is_gateway:
            self.reconcile()

    def _forget_unused(self) -> None:
        view, used = self._state.view, self._used_networks()
        unused = set(self._state.retained) - used
        if view is None or not unused:
            return
        ingress = view.ingress
        if ingress is not None and ingress.network.id in unused:
            ingress = None
        networks = tuple(n for n in view.networks if n.id not in unused)
        self._save(
            view=msgspec.structs.replace(view, networks=networks, ingress=ingress),
            retained=tuple(i for i in self._state.retained if i in used),
        )
        self.reconcile()

    def _used_networks(self) -> set[str]:
        return {endpoint.network_id for endpoint in self._state.endpoints.values()}

    def _has_link(self, endpoint_id: str, endpoint: EngineEndpoint) -> bool:
        overlay = self._overlays.get(endpoint.network_id)
        return overlay is not None and overlay.netlink.index(router_link(endpoint_id)) is not None

    def _network_status(self, network_id: str) -> dict[str, Any]:
        network, overlay = self._network(network_id), self._overlays[network_id]
        links = overlay.links()
        tunnel = links.get(TUNNEL)
        mine = {k: e for k, e in self._state.endpoints.items() if e.network_id == network_id}
        return {
            "id": network_id,
            "name": network.name,
            "namespace": overlay.name,
            "vni": network.vni,
            "mtu": overlay.mtu,
            "problem": self._problems.get(network_id, ""),
            "tunnel": msgspec.to_builtins(tunnel) if tunnel else None,
            "endpoints": [
                {
                    "id": endpoint_id,
                    "address": endpoint.address,
                    "joined": endpoint.is_joined,
                    "link": msgspec.to_builtins(links.get(router_link(endpoint_id))),
                }
                for endpoint_id, endpoint in sorted(mine.items())
            ],
        }

    def _overlay(self, network_id: str) -> Overlay:
        found = self._overlays.get(network_id)
        if found is None:
            raise NotFound(
                f"network {network_id} is not on this node: no task here is to be in it,"
                " or the node's agent has not told yet"
            )
        return found

    def _network(self, network_id: str) -> NetworkView:
        view = self._state.view
        candidates: list[NetworkView] = [*view.networks] if view else []
        if view and view.ingress:
            candidates.append(view.ingress.network)
        for network in candidates:
            if network.id == network_id:
                return network
        raise NotFound(f"network {network_id} is not on this node")

    def _endpoint(self, endpoint_id: str) -> EngineEndpoint:
        found = self._state.endpoints.get(endpoint_id)
        if found is None:
            raise NotFound(
                f"endpoint {endpoint_id[:12]} is not known here; start the container again"
            )
        return found

    def _save(self, **changes: Any) -> None:
        state: StoredState = msgspec.structs.replace(self._state, **changes)
        if state != self._state:
            stored_state.save(self._folder, state)
            self._state = state
