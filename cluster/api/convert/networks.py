"""Networks as the API shows them."""

from __future__ import annotations

from typing import Any

import msgspec

from cluster.api.convert.objects import common_members
from cluster.api.convert.timestamps import rfc3339
from cluster.api.versions import ApiVersion
from cluster.model.endpoint import NetworkAttachment
from cluster.model.network import Network, NetworkSpec

DEFAULT_DRIVER = "overlay"
_IPV4_SINCE = ApiVersion(1, 47)
VNI_OPTION = "com.docker.network.driver.overlay.vxlanid_list"


def network_json(network: Network, version: ApiVersion) -> dict[str, Any]:
    """Return a cluster network as that version shows it; the same in lists and alone."""
    spec = network.spec
    shown: dict[str, Any] = {
        "Name": spec.name,
        "Id": network.id,
        "Created": rfc3339(network.meta.created_at),
        "Scope": "swarm",
        "Driver": spec.driver or DEFAULT_DRIVER,
        "EnableIPv6": spec.enable_ipv6,
        "IPAM": _ipam(network),
        "Internal": spec.internal,
        "Attachable": spec.attachable,
        "Ingress": spec.ingress,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": None,
        "Options": _options(network) or None,
        "Labels": dict(spec.labels) if spec.labels else None,
    }
    return _with_families(shown, version)


def attachment_json(network: Network, attachment: NetworkAttachment) -> dict[str, Any]:
    """Return a task's place in a network as the API shows it inside the task."""
    shown: dict[str, Any] = {
        "Network": {
            **common_members(network.id, network.meta),
            "Spec": _spec_inside_task(network.spec),
            "DriverState": {"Name": DEFAULT_DRIVER, "Options": _options(network)},
            "IPAMOptions": {"Driver": {"Name": "default"}, "Configs": _ipam(network)["Config"]},
        },
        "Addresses": [attachment.address],
    }
    if attachment.aliases:
        shown["Aliases"] = list(attachment.aliases)
    return shown


def predefined_network_json(name: str, driver: str, version: ApiVersion) -> dict[str, Any]:
    """Return one of the networks that every node has, as a service may name it.

    Its ID is its name: the IDs that the engines give differ from node to node.
    """
    shown = {
        "Name": name,
        "Id": name,
        "Scope": "swarm",
        "Driver": driver,
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": None, "Config": []},
        "Internal": False,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": None,
        "Options": None,
        "Labels": None,
    }
    return _with_families(shown, version)


def _with_families(shown: dict[str, Any], version: ApiVersion) -> dict[str, Any]:
    """Say that there is IPv4, as there is in every network, to clients that can hear it."""
    return {**shown, "EnableIPv4": True} if version >= _IPV4_SINCE else shown


def _spec_inside_task(spec: NetworkSpec) -> dict[str, Any]:
    driver: dict[str, Any] = {"Name": spec.driver or DEFAULT_DRIVER}
    if spec.options:
        driver["Options"] = dict(spec.options)
    shown: dict[str, Any] = {
        "Name": spec.name,
        "Labels": dict(spec.labels or {}),
        "DriverConfiguration": driver,
        "Scope": "swarm",
    }
    if spec.ipam is not None:
        shown["IPAMOptions"] = {"Driver": {"Name": spec.ipam.driver or "default"}}
        if spec.ipam.config:
            configs = [msgspec.to_builtins(config) for config in spec.ipam.config]
            shown["IPAMOptions"]["Configs"] = configs
    flags = {"Internal": spec.internal, "Attachable": spec.attachable, "Ingress": spec.ingress}
    return shown | {name: True for name, is_set in flags.items() if is_set}


def _options(network: Network) -> dict[str, str]:
    """Return the driver's options, the network's number among them."""
    options = dict(network.spec.options or {})
    if network.allocation is not None:
        options[VNI_OPTION] = str(network.allocation.vni)
    return options


def _ipam(network: Network) -> dict[str, Any]:
    ipam, given = network.spec.ipam, network.allocation
    configs = [msgspec.to_builtins(config) for config in ipam.config] if ipam else []
    if given is not None:
        # the one IPv4 range as it came out, beside what else the user has said
        chosen = {"Subnet": given.subnet, "Gateway": given.gateway}
        named: dict[str, Any] = next((c for c in configs if ":" not in c.get("Subnet", "")), {})
        configs = [{**named, **chosen}, *(c for c in configs if c is not named)]
    if ipam is None:
        return {"Driver": "default", "Options": None, "Config": configs}
    return {
        "Driver": ipam.driver or "default",
        "Options": dict(ipam.options) if ipam.options else None,
        "Config": configs,
    }
