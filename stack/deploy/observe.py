"""What the cluster holds of a stack now."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from stack.deploy.plan import Observed
from stack.engine.client import EngineClient
from stack.engine.payloads import Json, Named
from stack.errors import NotConverged, NotFound, StackError
from stack.translate.names import NAMESPACE_LABEL
from stack.translate.stack_spec import StackSpec


class MissingNetwork(StackError):
    """An external network is not there, or is known on one node only."""


class MissingFile(StackError):
    """An external secret or config is not there."""


def observe(client: EngineClient, wanted: StackSpec) -> Observed:
    """Ask for the stack's networks, files and services and for what it uses from outside.

    Raises:
        MissingNetwork: an external network that a service joins cannot be used.
        MissingFile: an external secret or config does not exist.
        EngineError: the API refused, for example because the node is no manager.
    """
    label = stack_label(wanted.name)
    services = client.services({"label": label})
    networks = client.networks({"label": label})
    ids = {network["Name"]: network["Id"] for network in networks}
    own = {request["Name"] for request in wanted.networks}
    for name in wanted.external_networks:
        ids[name] = _external_network(client, name)
    _refuse_foreign(own - set(ids), client)
    for name in _predefined(wanted):
        known = client.network(name, scope="swarm")  # the cluster's own "host" has another ID
        if known is not None:
            ids[name] = known["Id"]
    return Observed(
        services={service["Spec"]["Name"]: service for service in services},
        network_ids=ids,
        secrets=_files("secret", client.secret, wanted.secrets, wanted.external_secrets),
        configs=_files("config", client.config, wanted.configs, wanted.external_configs),
    )


def stack_label(stack: str) -> str:
    """The value of a label filter that fits a stack's objects."""
    return f"{NAMESPACE_LABEL}={stack}"


def _files(
    kind: str, ask: Callable[[str], Named], own: Iterable[Json], external: Iterable[str]
) -> dict[str, Named]:
    """Ask for secrets or configs by name, those of the stack and those from outside."""
    found: dict[str, Named] = {}
    for name in external:
        try:
            found[name] = ask(name)
        except NotFound:
            raise MissingFile(
                f"{kind} {name} is declared external and does not exist: create it"
            ) from None
    for request in own:
        with contextlib.suppress(NotFound):
            current = ask(request["Name"])
            if current["Spec"]["Name"] == request["Name"]:  # and not an ID that begins so
                found[request["Name"]] = current
    return found


def _external_network(client: EngineClient, name: str) -> str:
    found = client.network(name)
    if found is None:
        raise MissingNetwork(f"network {name} is declared external and does not exist: create it")
    if found.get("Scope") != "swarm":
        scope = found.get("Scope")
        raise MissingNetwork(f"network {name} has scope {scope!r}: services need scope 'swarm'")
    return found["Id"]


def _refuse_foreign(missing: Iterable[str], client: EngineClient) -> None:
    """Say early that a network to be created exists without the stack's label."""
    for name in sorted(missing):
        found = client.network(name)
        if found is not None and found["Name"] == name and found.get("Scope") == "swarm":
            raise NotConverged(
                f"network {name} exists and belongs to no stack or another one: "
                "declare it external or give this one another name"
            )


def _predefined(wanted: StackSpec) -> set[str]:
    targets = {
        attachment["Target"]
        for service in wanted.services
        for attachment in service["TaskTemplate"]["Networks"]
    }
    own = {request["Name"] for request in wanted.networks}
    return targets - own - set(wanted.external_networks)
