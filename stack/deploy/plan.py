"""Wanted against observed: the steps that bring a cluster to a stack.

Pure: the same two states give the same plan, and a cluster that has what is wanted gives no step.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from stack.deploy.events import Kind
from stack.deploy.progress import dependencies
from stack.deploy.versions import base_of, is_version_of, with_versions
from stack.engine.payloads import FileKind, Json, Named, Service, copied
from stack.translate.names import NAMESPACE_LABEL
from stack.translate.stack_spec import StackSpec


class Observed(msgspec.Struct, frozen=True):
    """What the cluster holds, by name: of the stack, and of what it uses from outside."""

    services: Mapping[str, Service]
    network_ids: Mapping[str, str]
    secrets: Mapping[str, Named] = {}
    configs: Mapping[str, Named] = {}
    own_networks: frozenset[str] = frozenset()  # names of those that are labelled as the stack's
    given_up: frozenset[str] = frozenset()  # IDs of services whose last attempt failed


class CreateNetwork(msgspec.Struct, frozen=True):
    """A network to make."""

    request: Json


class CreateFile(msgspec.Struct, frozen=True):
    """A secret or config to make."""

    kind: FileKind
    request: Json


class UpdateFile(msgspec.Struct, frozen=True):
    """One that is there with the same content and other labels."""

    kind: FileKind
    current: Named
    request: Json


class CreateService(msgspec.Struct, frozen=True):
    """A service to make."""

    spec: Json


class UpdateService(msgspec.Struct, frozen=True):
    """A service whose spec differs."""

    service_id: str
    version: int
    spec: Json


class Remove(msgspec.Struct, frozen=True):
    """An object of the stack that the file no longer has."""

    kind: Kind
    object_id: str
    name: str


class KeepService(msgspec.Struct, frozen=True):
    """A service that is as it should be: nothing is sent."""

    service_id: str
    name: str


Step = (
    CreateNetwork | CreateFile | UpdateFile | CreateService | UpdateService | Remove | KeepService
)


def make_plan(wanted: StackSpec, observed: Observed, *, prune: bool) -> list[Step]:
    """The steps: networks, files, services, removals, each kind in the order of the file.

    Args:
        wanted: the stack as the file describes it.
        observed: the stack as the cluster has it.
        prune: also remove what is labelled as the stack's and the file does not name.
    """
    wanted = with_versions(wanted, observed.secrets, observed.configs)
    steps: list[Step] = [
        CreateNetwork(request)
        for request in wanted.networks
        if request["Name"] not in observed.network_ids
    ]
    steps += _file_steps("secret", wanted.secrets, observed.secrets)
    steps += _file_steps("config", wanted.configs, observed.configs)
    names = {network_id: name for name, network_id in observed.network_ids.items()}
    for spec in in_order(wanted.services):
        current = observed.services.get(spec["Name"])
        if current is None:
            steps.append(CreateService(spec))
        elif current["ID"] in observed.given_up:
            steps.append(_run_again(current, spec, names))
        else:
            steps.append(_against(current, spec, names))
    if prune:
        steps += _removals(wanted, observed)
    return steps


def _removals(wanted: StackSpec, observed: Observed) -> Iterator[Remove]:
    """What is the stack's and not in the file; other versions of its files are not meant."""
    kept = {spec["Name"] for spec in wanted.services}
    for name, service in sorted(observed.services.items()):
        if name not in kept:
            yield Remove("service", service["ID"], name)
    own: tuple[tuple[FileKind, Mapping[str, Named], tuple[Json, ...], tuple[str, ...]], ...] = (
        ("secret", observed.secrets, wanted.secrets, wanted.external_secrets),
        ("config", observed.configs, wanted.configs, wanted.external_configs),
    )
    for kind, files, requests, external in own:
        bases = {*map(base_of, requests), *external}
        for name, item in sorted(files.items()):
            is_own = (item["Spec"].get("Labels") or {}).get(NAMESPACE_LABEL) == wanted.name
            if is_own and not any(is_version_of(item, base) for base in bases):
                yield Remove(kind, item["ID"], name)
    networks = {request["Name"] for request in wanted.networks}
    for name in sorted(observed.own_networks - networks - {*wanted.external_networks}):
        yield Remove("network", observed.network_ids[name], name)


def giving_way(
    steps: Iterable[Step], removals: Iterable[Remove], observed: Observed
) -> frozenset[str]:
    """IDs of services to remove before the others run: these take their published ports."""
    wanted = {
        port
        for step in steps
        if isinstance(step, CreateService | UpdateService)
        for port in _published(step.spec)
    }
    return frozenset(
        one.object_id
        for one in removals
        if one.kind == "service" and wanted & _published(observed.services[one.name]["Spec"])
    )


def _published(spec: Json) -> set[tuple[int, str]]:
    ports = (spec.get("EndpointSpec") or {}).get("Ports") or ()
    return {
        (port["PublishedPort"], port.get("Protocol", "tcp"))
        for port in ports
        if port.get("PublishedPort")
    }


def _file_steps(
    kind: FileKind, wanted: Iterable[Json], observed: Mapping[str, Named]
) -> Iterator[Step]:
    for request in wanted:
        current = observed.get(request["Name"])
        if current is None:
            yield CreateFile(kind, request)
        elif (current["Spec"].get("Labels") or {}) != request["Labels"]:
            yield UpdateFile(kind, current, request)


def _against(current: Service, spec: Json, network_names: Mapping[str, str]) -> Step:
    spec = updated_spec(current, spec)
    if comparable(current["Spec"], network_names) == comparable(spec, network_names):
        return KeepService(current["ID"], spec["Name"])
    return UpdateService(current["ID"], current["Version"]["Index"], spec)


def _run_again(current: Service, spec: Json, network_names: Mapping[str, str]) -> Step:
    """Update a service of which no task is tried again, even where its file is the same.

    Only tasks of the same making need that: others are new ones by themselves, and may be those
    that ran before and still do.
    """
    spec = updated_spec(current, spec)
    if _made_of(current["Spec"], network_names) == _made_of(spec, network_names):
        spec["TaskTemplate"]["ForceUpdate"] += 1
    return UpdateService(current["ID"], current["Version"]["Index"], spec)


def _made_of(spec: Json, network_names: Mapping[str, str]) -> object:
    """What a spec says of its tasks, but for where they may run: no task is replaced for that."""
    template = spec.get("TaskTemplate") or {}
    return comparable({"TaskTemplate": {**template, "Placement": {}}}, network_names)


def in_order(specs: Iterable[Json]) -> list[Json]:
    """Services with those on which they depend before them, else in the order of the file.

    So the cluster never takes the former state of a dependency for the one to wait for.
    """
    by_name = {spec["Name"]: spec for spec in specs}
    ordered: dict[str, Json] = {}
    for name in by_name:
        pending = [name]
        while pending:
            last = pending[-1]
            missing = [
                other
                for other in dependencies(by_name[last])
                if other in by_name and other not in ordered and other not in pending
            ]
            if missing:
                pending.append(missing[0])
            else:
                ordered[last] = by_name[last]
                pending.pop()
    return list(ordered.values())


def updated_spec(current: Service, spec: Json) -> Json:
    """The wanted spec with what an update must carry over from the running one.

    That is the counter of forced updates, and the digest of an image that the cluster pinned when
    the same image was deployed: without them an unchanged file would restart tasks.
    """
    spec = copied(spec)
    template = current["Spec"].get("TaskTemplate", {})
    spec["TaskTemplate"]["ForceUpdate"] = template.get("ForceUpdate", 0)
    running = template.get("ContainerSpec", {}).get("Image", "")
    image = spec["TaskTemplate"]["ContainerSpec"]["Image"]
    if "@" not in image and running == pinned_image(image, running.partition("@")[2]):
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = running
        if "Platforms" in template.get("Placement", {}):
            placement = spec["TaskTemplate"]["Placement"]
            placement.setdefault("Platforms", template["Placement"]["Platforms"])
    return spec


def pinned_image(image: str, digest: str) -> str:
    """An image's name with a digest, as Docker's client writes it: always with a tag."""
    has_tag = ":" in image.rpartition("/")[2]
    return f"{image}{'' if has_tag else ':latest'}@{digest}"


# Where false or zero says something else than absent does.
_MEANINGFUL_ZEROS = frozenset(
    (
        "Init",
        "Replicas",
        "StopGracePeriod",
        "Delay",
        "Parallelism",
        "MaxConcurrent",
        "TotalCompletions",
    )
)


def _spelled(reference: Json) -> str:
    """A reference as text, whichever order its members came in."""
    return json.dumps(reference, sort_keys=True)


def comparable(spec: Json, network_names: Mapping[str, str]) -> object:
    """A service spec in a form in which equal meanings are equal values.

    A server adds what it takes by default and stores IDs of networks and files; both are undone
    here.  Files are told apart by name: a changed content has another.

    Args:
        spec: as sent or as read back.
        network_names: network ID to name.
    """
    spec = copied(spec)
    template = spec.get("TaskTemplate") or {}
    container = template.get("ContainerSpec") or {}
    if container.get("Isolation") == "default":
        del container["Isolation"]
    if template.get("Runtime") == "container":
        del template["Runtime"]
    for kind in ("Secret", "Config"):
        references = [
            {key: value for key, value in reference.items() if key != f"{kind}ID"}
            for reference in container.get(f"{kind}s") or []
        ]
        container[f"{kind}s"] = sorted(references, key=_spelled)
    container["Hosts"] = sorted(container.get("Hosts") or [])  # the file may give a map
    attachments = template.get("Networks") or spec.pop("Networks", None) or []
    for attachment in attachments:
        attachment["Target"] = network_names.get(attachment["Target"], attachment["Target"])
    template["Networks"] = sorted(attachments, key=lambda attachment: str(attachment["Target"]))
    mode = spec.get("Mode") or {}
    if mode.get("Replicated") is not None:
        mode["Replicated"].setdefault("Replicas", 1)
    if mode.get("ReplicatedJob") is not None:
        job = mode["ReplicatedJob"]
        job.setdefault("MaxConcurrent", 1)
        job.setdefault("TotalCompletions", job["MaxConcurrent"])
    for name in ("UpdateConfig", "RollbackConfig"):
        if spec.get(name):
            spec[name]["FailureAction"] = spec[name].get("FailureAction") or "pause"
            spec[name]["Order"] = spec[name].get("Order") or "stop-first"
            spec[name]["Delay"] = spec[name].get("Delay") or 0
    policy = template.get("RestartPolicy")
    if policy:
        policy["Condition"] = policy.get("Condition") or "any"
    endpoint = spec.get("EndpointSpec") or {}
    endpoint["Mode"] = endpoint.get("Mode") or "vip"
    for port in endpoint.get("Ports") or []:
        port["Protocol"] = port.get("Protocol") or "tcp"
        port["PublishMode"] = port.get("PublishMode") or "ingress"
    spec["EndpointSpec"] = endpoint
    return (_without_empty(spec), tuple(mode))


def _without_empty(value: object, key: str = "") -> object:
    if isinstance(value, dict):
        cleaned = {name: _without_empty(member, name) for name, member in value.items()}
        return {name: member for name, member in cleaned.items() if not _says_nothing(name, member)}
    if isinstance(value, list):
        return [_without_empty(member, key) for member in value]
    return value


def _says_nothing(name: str, value: object) -> bool:
    if isinstance(value, bool | int | float):
        return not value and name not in _MEANINGFUL_ZEROS
    return not value
