"""The body of a request to make a network."""

from __future__ import annotations

import msgspec

from cluster.api.payloads.decoding import convert_tree
from cluster.model.network import NetworkSpec
from cluster.model.spec_struct import SpecStruct


class NetworkRequest(SpecStruct, frozen=True, kw_only=True, gc=False):
    """What decides whose business a new network is."""

    name: str = ""
    driver: str = ""
    scope: str = ""
    ingress: bool = False
    config_only: bool = False
    config_from: ConfigFrom | None = None

    @property
    def is_for_cluster(self) -> bool:
        """Whether the network spans nodes; all others are made by the local engine."""
        return self.driver == "overlay" or self.scope == "swarm" or self.ingress


class ConfigFrom(SpecStruct, frozen=True, kw_only=True, gc=False):
    """The local network that another takes its settings from."""

    network: str = ""


def decode_network_request(tree: object) -> NetworkRequest:
    """Return the members that decide.

    Raises:
        InvalidArgument: a member of a wrong type, which the message names.
    """
    return convert_tree(tree, NetworkRequest)


def decode_network_spec(tree: object) -> NetworkSpec:
    """Return the spec of a cluster network.

    Raises:
        InvalidArgument: a member of a wrong type, which the message names.
    """
    spec = convert_tree(tree, NetworkSpec)
    return spec if spec.driver else msgspec.structs.replace(spec, driver="overlay")
