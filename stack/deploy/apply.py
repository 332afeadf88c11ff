"""Carry out a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from stack.deploy.events import Action, ObjectEvent
from stack.deploy.plan import (
    CreateFile,
    CreateNetwork,
    CreateService,
    KeepService,
    Observed,
    Remove,
    Step,
    UpdateFile,
    UpdateService,
    updated_spec,
)
from stack.engine.client import EngineClient
from stack.engine.payloads import FileKind, Json, Named, Service, copied
from stack.errors import OutOfSequence


class Applied(msgspec.Struct, frozen=True):
    """The IDs of all services of the stack, and what the server warned of (each text once)."""

    service_ids: tuple[str, ...]
    warnings: tuple[str, ...]
    revision: int = 0  # 0 where the server keeps none
    is_watched: bool = False  # the managers decide whether it holds


def apply(
    client: EngineClient,
    steps: Iterable[Step],
    observed: Observed,
    tell: Callable[[ObjectEvent], None],
    *,
    logins: Mapping[str, str] = MappingProxyType({}),
    exact: bool = False,
) -> Applied:
    """Send what the steps need, one after the other, telling each before it is sent.

    A service that changed since it was observed is read again and updated once more; the file
    wins over the other change, as it would have a moment later.

    Args:
        client: the API.
        steps: without removals.
        observed: gives the IDs of secrets and configs that are there.
        tell: told of each object.
        logins: the encoded login at the image's registry by name of the service; one is sent
            with an unchanged service too, as it may be newer than the last.
        exact: refuse instead, where a service changed since it was observed.

    Raises:
        OutOfSequence: `exact`, and a service changed; the earlier steps stay done.
        EngineError: the API refused a step; the earlier ones stay done.
    """
    files = FileIds(observed)
    services: list[str] = []
    warnings: list[str] = []
    for step in steps:
        match step:
            case CreateNetwork(request):
                tell(ObjectEvent(action="create", kind="network", name=request["Name"]))
                _, said = client.create_network(request)
                warnings += said
            case CreateFile(kind, request):
                tell(ObjectEvent(action="create", kind=kind, name=request["Name"]))
                files.add(kind, request["Name"], client.create_file(kind, request))
            case UpdateFile():
                _update_file(client, step, tell)
            case CreateService(spec):
                tell(ObjectEvent(action="create", kind="service", name=spec["Name"]))
                service_id, said = client.create_service(
                    files.filled(spec), logins.get(spec["Name"], "")
                )
                services.append(service_id)
                warnings += said
            case UpdateService(service_id, _, spec):
                tell(_about("update", service_id, spec["Name"]))
                warnings += _update(client, step, files, logins.get(spec["Name"], ""), exact=exact)
                services.append(service_id)
            case KeepService(service_id, name):
                tell(_about("keep", service_id, name))
                if login := logins.get(name):
                    send_login(client, observed.services[name], login)
                services.append(service_id)
            case Remove():
                raise AssertionError("removals come last, by themselves")
    return Applied(tuple(services), tuple(dict.fromkeys(warnings)))


def _about(action: Action, service_id: str, name: str) -> ObjectEvent:
    return ObjectEvent(action=action, kind="service", name=name, id=service_id)


def apply_at_once(
    client: EngineClient,
    stack: str,
    steps: Sequence[Step],
    observed: Observed,
    tell: Callable[[ObjectEvent], None],
    *,
    logins: Mapping[str, str],
    about: Json,
) -> Applied:
    """Send what the steps need in one request, which a server with stacks carries out as one step.

    `about` is what the request says beside its objects: who deploys, under which lease.

    Raises:
        OutOfSequence: a service has changed since it was observed; nothing is done.
        EngineError: the API refused; nothing is done but new labels of files and networks that
            are no business of the cluster.
    """
    request = {**about}
    changes: list[Json] = []
    ids: dict[str, str] = {}
    warnings: list[str] = []
    for step in steps:
        match step:
            case CreateNetwork(made):
                tell(ObjectEvent(action="create", kind="network", name=made["Name"]))
                if made["Driver"] == "overlay" or made.get("Scope") == "swarm":
                    request.setdefault("Networks", []).append(made)
                else:
                    warnings += client.create_network(made)[1]
            case CreateFile(kind, made):
                tell(ObjectEvent(action="create", kind=kind, name=made["Name"]))
                request.setdefault(f"{kind.capitalize()}s", []).append(made)
            case UpdateFile():
                _update_file(client, step, tell)
            case CreateService(spec):
                tell(ObjectEvent(action="create", kind="service", name=spec["Name"]))
                changes.append({"Spec": spec, "RegistryAuth": logins.get(spec["Name"], "")})
            case UpdateService(service_id, version, spec):
                tell(_about("update", service_id, spec["Name"]))
                auth = logins.get(spec["Name"], "")
                changes.append(
                    {"ID": service_id, "Version": version, "Spec": spec, "RegistryAuth": auth}
                )
            case KeepService(service_id, name):
                tell(_about("keep", service_id, name))
                ids[service_id] = service_id
                if login := logins.get(name):
                    send_login(client, observed.services[name], login)
            case Remove():
                raise AssertionError("removals come last, by themselves")
    answer = client.deploy_stack(stack, {**request, "Services": changes})
    warnings += answer["Warnings"]
    return Applied(
        service_ids=(*ids, *answer["Services"]),
        warnings=tuple(dict.fromkeys(warnings)),
        revision=answer["Revision"],
        is_watched=answer.get("IsWatched", False),
    )


class FileIds:
    """The IDs of secrets and configs by name, those just made included."""

    def __init__(self, observed: Observed) -> None:
        self._ids: dict[tuple[str, str], str] = {}
        for name, secret in observed.secrets.items():
            self.add("secret", name, secret["ID"])
        for name, config in observed.configs.items():
            self.add("config", name, config["ID"])

    def add(self, kind: FileKind, name: str, object_id: str) -> None:
        """Note one that was made."""
        self._ids[kind, name] = object_id

    def filled(self, spec: Json) -> Json:
        """The service's spec with the IDs that its references need."""
        spec = copied(spec)
        container = spec["TaskTemplate"]["ContainerSpec"]
        for secret in container.get("Secrets", ()):
            secret["SecretID"] = self._ids["secret", secret["SecretName"]]
        for config in container.get("Configs", ()):
            config["ConfigID"] = self._ids["config", config["ConfigName"]]
        return spec


def _update_file(
    client: EngineClient, step: UpdateFile, tell: Callable[[ObjectEvent], None]
) -> None:
    kind, name, current = step.kind, step.request["Name"], step.current
    tell(ObjectEvent(action="update", kind=kind, name=name, id=current["ID"]))
    try:
        _send(client, step, current)
    except OutOfSequence:
        ask = client.secret if kind == "secret" else client.config
        _send(client, step, ask(current["ID"]))


def _send(client: EngineClient, step: UpdateFile, current: Named) -> None:
    client.update_file(step.kind, current["ID"], current["Version"]["Index"], step.request)


def send_login(client: EngineClient, current: Service, login: str) -> None:
    """Give a service that stays as it is a newer login."""
    try:
        client.update_service(current["ID"], current["Version"]["Index"], current["Spec"], login)
    except OutOfSequence:
        current = client.service(current["ID"])
        client.update_service(current["ID"], current["Version"]["Index"], current["Spec"], login)


def _update(
    client: EngineClient, step: UpdateService, files: FileIds, login: str, *, exact: bool
) -> list[str]:
    try:
        return client.update_service(step.service_id, step.version, files.filled(step.spec), login)
    except OutOfSequence:
        if exact:
            raise
        current = client.service(step.service_id)
        spec = updated_spec(current, step.spec)
        version = current["Version"]["Index"]
        return client.update_service(step.service_id, version, files.filled(spec), login)
