"""Wanted against observed: the steps that bring a cluster to a stack.

Pure: the same two states give the same plan, and a cluster that has what is wanted gives no step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy

import msgspec

from stack.engine.payloads import FileKind, Json, Named, Service
from stack.translate.stack_spec import StackSpec


class Observed(msgspec.Struct, frozen=True):
    """What the cluster holds, by name: of the stack, and of what it uses from outside."""

    services: Mapping[str, Service]
    network_ids: Mapping[str, str]
    secrets: Mapping[str, Named] = {}
    configs: Mapping[str, Named] = {}


class CreateNetwork(msgspec.Struct, frozen=True):
    """A network to make."""

    request: Json


class CreateFile(msgspec.Struct, frozen=True):
    """A secret or config to make."""

    kind: FileKind
    request: Json


class UpdateFile(msgspec.Struct, frozen=True):
    """One that is there; of a secret, only the cluster can tell whether it is as the file says."""

    kind: FileKind
    current: Named
    request: Json
    has_other_labels: bool


class CreateService(msgspec.Struct, frozen=True):
    """A service to make."""

    spec: Json


class UpdateService(msgspec.Struct, frozen=True):
    """A service whose spec differs."""

    service_id: str
    version: int
    spec: Json


class RemoveService(msgspec.Struct, frozen=True):
    """A service that the file no longer has."""

    service_id: str
    name: str


class KeepService(msgspec.Struct, frozen=True):
    """A service that is as it should be: nothing is sent."""

    service_id: str
    name: str


Step = (
    CreateNetwork
    | CreateFile
    | UpdateFile
    | CreateService
    | UpdateService
    | RemoveService
    | KeepService
)


def make_plan(wanted: StackSpec, observed: Observed, *, prune: bool) -> list[Step]:
    """The steps: networks, files, services, removals, each kind in the order of the file.

    Args:
        wanted: the stack as the file describes it.
        observed: the stack as the cluster has it.
        prune: also remove the stack's services that the file does not name.
    """
    steps: list[Step] = [
        CreateNetwork(request)
        for request in wanted.networks
        if request["Name"] not in observed.network_ids
    ]
    steps += _file_steps("secret", wanted.secrets, observed.secrets)
    steps += _file_steps("config", wanted.configs, observed.configs)
    names = {network_id: name for name, network_id in observed.network_ids.items()}
    for spec in wanted.services:
        current = observed.services.get(spec["Name"])
        steps.append(CreateService(spec) if current is None else _against(current, spec, names))
    if prune:
        kept = {spec["Name"] for spec in wanted.services}
        steps.extend(
            RemoveService(service["ID"], name)
            for name, service in sorted(observed.services.items())
            if name not in kept
        )
    return steps


def _file_steps(
    kind: FileKind, wanted: Iterable[Json], observed: Mapping[str, Named]
) -> Iterator[Step]:
    for request in wanted:
        current = observed.get(request["Name"])
        if current is None:
            yield CreateFile(kind, request)
            continue
        has_other_labels = (current["Spec"].get("Labels") or {}) != request["Labels"]
        # a config shows its data: one that is as the file says needs no request
        if has_other_labels or current["Spec"].get("Data") != request.get("Data"):
            yield UpdateFile(kind, current, request, has_other_labels)


def _against(current: Service, spec: Json, network_names: Mapping[str, str]) -> Step:
    spec = updated_spec(current, spec)
    if comparable(current["Spec"], network_names) == comparable(spec, network_names):
        return KeepService(current["ID"], spec["Name"])
    return UpdateService(current["ID"], current["Version"]["Index"], spec)


def updated_spec(current: Service, spec: Json) -> Json:
    """The wanted spec with what an update must carry over from the running one.

    That is the counter of forced updates, and the digest of an image that the cluster pinned when
    the same image was deployed: without them an unchanged file would restart tasks.
    """
    spec = deepcopy(spec)
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


def comparable(spec: Json, network_names: Mapping[str, str]) -> object:
    """A service spec in a form in which equal meanings are equal values.

    A server adds what it takes by default and stores IDs of networks and files; both are undone
    here.  Files are told apart by name: one that is in use cannot be exchanged under its name.

    Args:
        spec: as sent or as read back.
        network_names: network ID to name.
    """
    spec = deepcopy(spec)
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
        container[f"{kind}s"] = sorted(references, key=str)
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
