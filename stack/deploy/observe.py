"""What the cluster holds of a stack now."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import msgspec

from stack.deploy.plan import Observed, Remove
from stack.deploy.progress import is_given_up
from stack.deploy.versions import (
    CONTENT_LABEL,
    digest_of,
    has_known_content,
    superseded,
    with_versions,
)
from stack.engine.client import EngineClient
from stack.engine.payloads import FileKind, Json, Named, Service, Task
from stack.errors import EngineError, NotConverged, NotFound, StackError
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
    services = client.services({"label": label}, status=True)
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
        secrets=_files("secret", client, wanted.name, wanted.secrets, wanted.external_secrets),
        configs=_files("config", client, wanted.name, wanted.configs, wanted.external_configs),
        given_up=_given_up(client, label, services),
        own_networks=frozenset(network["Name"] for network in networks),
    )


def _given_up(client: EngineClient, label: str, services: Iterable[Service]) -> frozenset[str]:
    """The services of which a deployment must run failed tasks again, though its file is equal."""
    current: dict[str, list[Task]] = {one["ID"]: [] for one in services}
    if current:
        for task in client.tasks({"label": label, "_up-to-date": "true"}):
            current.get(task.get("ServiceID", ""), []).append(task)
    return frozenset(one["ID"] for one in services if is_given_up(one, current[one["ID"]]))


def adopt(client: EngineClient, wanted: StackSpec, observed: Observed) -> Observed:
    """Find out whether secrets that another client made are as the file says, and label them.

    Only the cluster can tell: it accepts an update with an equal content and no other.

    Raises:
        EngineError: the API refused for another reason.
    """
    known = dict(observed.secrets)
    for request in wanted.secrets:
        item = known.get(request["Name"])
        if item is None or has_known_content(item) or "Data" not in request:
            continue
        labels = {**request["Labels"], CONTENT_LABEL: digest_of(request)}
        body = {**request, "Labels": labels}
        try:
            client.update_file("secret", item["ID"], item["Version"]["Index"], body)
            known[request["Name"]] = client.secret(item["ID"])
        except EngineError as error:
            if "only updates to Labels are allowed" not in str(error):
                raise
            spec = {**item["Spec"], "Labels": {**labels, CONTENT_LABEL: "other"}}
            known[request["Name"]] = {**item, "Spec": spec}
    return msgspec.structs.replace(observed, secrets=known)


def superseded_files(client: EngineClient, wanted: StackSpec, observed: Observed) -> list[Remove]:
    """Versions of the stack's secrets and configs that nothing refers to any more.

    Args:
        client: asked anew, as the services have changed meanwhile.
        wanted: as the file describes it.
        observed: the stack before it was deployed; without versions nothing is asked.
    """
    wanted = with_versions(wanted, observed.secrets, observed.configs)
    found: dict[FileKind, list[Named]] = {
        "secret": [*superseded(wanted, "secret", observed.secrets, ())],
        "config": [*superseded(wanted, "config", observed.configs, ())],
    }
    if not any(found.values()):
        return []
    services = client.services({"label": stack_label(wanted.name)})
    return [
        Remove(kind, item["ID"], item["Spec"]["Name"])
        for kind, items in found.items()
        for item in superseded(
            wanted, kind, {item["Spec"]["Name"]: item for item in items}, services
        )
    ]


def stack_label(stack: str) -> str:
    """The value of a label filter that fits a stack's objects."""
    return f"{NAMESPACE_LABEL}={stack}"


def _files(
    kind: FileKind, client: EngineClient, stack: str, own: Iterable[Json], external: Iterable[str]
) -> dict[str, Named]:
    """Ask for secrets or configs: those of the stack, of its names, and from outside."""
    listed, ask = (
        (client.secrets, client.secret) if kind == "secret" else (client.configs, client.config)
    )
    found = {item["Spec"]["Name"]: item for item in listed({"label": stack_label(stack)})}
    for name in external:
        try:
            found[name] = ask(name)
        except NotFound:
            raise MissingFile(
                f"{kind} {name} is declared external and does not exist: create it"
            ) from None
    for request in own:
        if request["Name"] in found:
            continue
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
