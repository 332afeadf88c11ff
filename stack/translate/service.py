"""A service of the compose model to the ``ServiceSpec`` of the Engine API."""

from __future__ import annotations

from stack.compose.types import Compose, Deploy, Logging, Placement, Resources, Service
from stack.engine.payloads import Json
from stack.translate.container import container_spec
from stack.translate.endpoint import endpoint_spec
from stack.translate.extensions import extension_label
from stack.translate.names import IMAGE_LABEL, labelled, scoped
from stack.translate.networks import attachments
from stack.translate.update_policy import restart_policy, update_config


def service_spec(compose: Compose, service: Service) -> Json:
    """The body of ``POST /services/create``.

    ``docker stack deploy`` sends the same for what it knows of the same file.

    Raises:
        ComposeError: what no cluster can do.
    """
    deploy = service.deploy
    spec: Json = {
        "Name": scoped(compose.name, service.name),
        "Labels": {
            **labelled(compose.name, deploy.labels),
            IMAGE_LABEL: service.image,
            **extension_label(compose, service),
        },
        "TaskTemplate": _task_template(compose, service),
        "Mode": _mode(deploy),
        "EndpointSpec": endpoint_spec(service),
    }
    if deploy.update_config is not None:
        spec["UpdateConfig"] = update_config(deploy.update_config)
    if deploy.rollback_config is not None:
        spec["RollbackConfig"] = update_config(deploy.rollback_config)
    return spec


def _task_template(compose: Compose, service: Service) -> Json:
    deploy = service.deploy
    template: Json = {
        "ContainerSpec": container_spec(compose, service),
        "Resources": _resources(deploy),
        "Placement": _placement(deploy.placement, service.platform),
        "Networks": attachments(compose, service),
        "ForceUpdate": 0,
    }
    if deploy.restart_policy is not None:
        template["RestartPolicy"] = restart_policy(deploy.restart_policy)
    if service.logging is not None:
        template["LogDriver"] = _log_driver(service.logging)
    return template


def _log_driver(logging: Logging) -> Json:
    payload: Json = {"Name": logging.driver, "Options": dict(logging.options)}
    return {name: value for name, value in payload.items() if value}


def _mode(deploy: Deploy) -> Json:
    given = {} if deploy.replicas is None else {"Replicas": deploy.replicas}
    match deploy.mode:
        case "global":
            return {"Global": {}}
        case "global-job":
            return {"GlobalJob": {}}
        case "replicated-job":
            names = ("MaxConcurrent", "TotalCompletions")
            return {"ReplicatedJob": {name: deploy.replicas for name in names if given}}
        case _:
            return {"Replicated": given}


def _resources(deploy: Deploy) -> Json:
    payload: Json = {}
    if deploy.limits is not None:
        payload["Limits"] = _amounts(deploy.limits)
    if deploy.reservations is not None:
        payload["Reservations"] = _amounts(deploy.reservations)
    return payload


def _amounts(resources: Resources) -> Json:
    payload: Json = {
        "NanoCPUs": resources.nano_cpus,
        "MemoryBytes": resources.memory_bytes,
        "Pids": resources.pids,
        "GenericResources": [
            {"DiscreteResourceSpec": {"Kind": resource.kind, "Value": resource.value}}
            for resource in resources.generic_resources
        ],
    }
    return {name: value for name, value in payload.items() if value}


def _placement(placement: Placement, platform: str) -> Json:
    payload: Json = {}
    if placement.constraints:
        payload["Constraints"] = list(placement.constraints)
    if placement.spread_over:
        payload["Preferences"] = [
            {"Spread": {"SpreadDescriptor": label}} for label in placement.spread_over
        ]
    if placement.max_replicas_per_node:
        payload["MaxReplicas"] = placement.max_replicas_per_node
    if platform:
        payload["Platforms"] = [_platform(platform)]
    return payload


def _platform(text: str) -> Json:
    """``linux/arm64/v8``; nodes do not tell variants, so that part is left out."""
    system, _, rest = text.partition("/")
    payload: Json = {"Architecture": rest.partition("/")[0], "OS": system}
    return {name: value for name, value in payload.items() if value}
