"""Secrets and configs: the objects to create, and the services' references to them.

A reference needs the object's ID, which only the cluster knows: `stack.deploy.apply` fills it in.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from stack.compose.types import Compose, FileObject, FileReference, Service
from stack.engine.payloads import Json
from stack.errors import ComposeError
from stack.translate.names import labelled, scoped

_MODE = 0o444


def object_name(stack: str, item: FileObject) -> str:
    """The secret's or config's name in the cluster."""
    return item.name or (item.key if item.external else scoped(stack, item.key))


def object_request(stack: str, item: FileObject) -> Json:
    """The body of ``POST /secrets/create`` or ``/configs/create``."""
    request: Json = {
        "Name": object_name(stack, item),
        "Labels": labelled(stack, item.labels),
    }
    if item.content is not None:
        request["Data"] = base64.b64encode(item.content).decode()
    if item.driver:
        request["Driver"] = {"Name": item.driver, "Options": dict(item.driver_opts or {})}
    if item.template_driver:
        request["Templating"] = {"Name": item.template_driver}
    return request


def secret_references(compose: Compose, service: Service) -> list[Json]:
    """The ``Secrets`` of a service's container, by name."""
    return _references(compose, service, "Secret", compose.secrets, service.secrets)


def config_references(compose: Compose, service: Service) -> list[Json]:
    """The ``Configs`` of a service's container, by name."""
    return _references(compose, service, "Config", compose.configs, service.configs)


def _references(
    compose: Compose,
    service: Service,
    kind: str,
    items: Mapping[str, FileObject],
    references: tuple[FileReference, ...],
) -> list[Json]:
    made: list[Json] = []
    for reference in references:
        item = items.get(reference.source)
        if item is None:  # the loader has checked it
            raise ComposeError(
                f"services.{service.name}.{kind.lower()}s: {reference.source} is not declared"
            )
        made.append(
            {
                f"{kind}Name": object_name(compose.name, item),
                "File": {
                    "Name": reference.target or reference.source,
                    "UID": reference.uid or "0",
                    "GID": reference.gid or "0",
                    "Mode": _MODE if reference.mode is None else reference.mode,
                },
            }
        )
    return sorted(made, key=lambda one: str(one[f"{kind}Name"]))
