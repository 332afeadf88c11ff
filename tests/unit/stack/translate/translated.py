"""One service beside another, translated."""

from __future__ import annotations

import json
from typing import Any

from stack.compose.types import (
    Compose,
    Network,
    Service,
    ServiceNetwork,
    Volume,
)
from stack.engine.payloads import Json
from stack.translate.extensions import EXTENSION_LABEL
from stack.translate.stack_spec import stack_spec

DEFAULT = (ServiceNetwork(name="default"),)
DB = Service(name="db", image="postgres:17", networks=DEFAULT)


def translate(**settings: Any) -> Json:
    service = Service(**{"name": "web", "image": "app:1", "networks": DEFAULT, **settings})
    compose = Compose(
        name="st",
        services=(service, DB),
        networks={"default": Network(key="default"), "front": Network(key="front")},
        volumes={"data": Volume(key="data", labels={"a": "1"})},
    )
    return stack_spec(compose).services[0]


def container(**settings: Any) -> Json:
    made: Json = translate(**settings)["TaskTemplate"]["ContainerSpec"]
    return made


def label(**settings: Any) -> Any:
    text = translate(**settings)["Labels"].get(EXTENSION_LABEL)
    return None if text is None else json.loads(text)


def in_label(**settings: Any) -> Any:
    document = label(**settings)
    assert list(document) == ["container"]
    return document["container"]
