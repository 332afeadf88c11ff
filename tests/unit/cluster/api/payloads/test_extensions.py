from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.payloads.extensions import MAX_LENGTH, decode_extensions
from cluster.errors import InvalidArgument
from cluster.model.endpoint import PortConfig
from cluster.model.extensions import (
    EXTENSION_LABEL,
    ContainerExtensions,
    Dependency,
    Device,
    Extensions,
    NetworkExtensions,
    PortExtensions,
    TaskExtensions,
)

PLACE = 'Labels["com.stackyard.ext"]'


def decode(document: Any) -> Extensions:
    return decode_extensions({EXTENSION_LABEL: json.dumps(document)})


def test_a_service_without_the_label_has_no_settings() -> None:
    assert decode_extensions({"other": "{}"}) == Extensions() == decode({})
    assert Extensions().of_task(()) is None


def test_the_document_becomes_typed() -> None:
    extensions = decode(
        {
            "container": {"privileged": True, "devices": [{"source": "/dev/fuse"}]},
            "depends_on": {"shop_db": {"condition": "service_healthy"}},
            "networks": {"shop_front": {"ipv4_address": "10.0.0.5"}},
            "ports": [{"target": 80, "published": 8080, "host_ips": ["127.0.0.1"]}],
            "pull_policy": "always",
        }
    )
    assert extensions == Extensions(
        container=ContainerExtensions(privileged=True, devices=(Device(source="/dev/fuse"),)),
        depends_on={"shop_db": Dependency(condition="service_healthy")},
        networks={"shop_front": NetworkExtensions(ipv4_address="10.0.0.5")},
        ports=(PortExtensions(target=80, published=8080, host_ips=("127.0.0.1",)),),
        pull_policy="always",
    )
    port = PortConfig(target_port=80, published_port=8080, publish_mode="host")
    assert extensions.of_task((port,)) == TaskExtensions(
        container=extensions.container,
        ports=extensions.ports,
        pull_policy="always",
        addresses={"shop_front": "10.0.0.5"},
    )


def test_what_makes_no_container_is_not_in_the_task() -> None:
    assert decode({"depends_on": {"db": {}}, "networks": {"n": {}}}).of_task(()) is None
    ports = decode({"ports": [{"target": 80, "published": 8080, "hide_client": True}]})
    mesh = PortConfig(target_port=80, published_port=8080, publish_mode="ingress")
    assert ports.of_task((mesh,)) is None


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], f"{PLACE}: must be a JSON object"),
        ({"privileged": True}, f"{PLACE}.privileged: this version knows no such setting"),
        (
            {"container": {"device": []}},
            f"{PLACE}.container.device: this version knows no such setting; did you mean devices?",
        ),
        (
            {"container": {"devices": [{"source": 1}]}},
            f"{PLACE}.container.devices[0].source: expected `str`, got `int`",
        ),
        (
            {"container": {"ipc": "container:x"}},
            f"{PLACE}.container.ipc: 'container:x' is none of none, private, shareable, host",
        ),
        (
            {"depends_on": {"db": {"condition": "healthy"}}},
            f"{PLACE}.depends_on.db.condition: 'healthy' is none of service_started, service_healthy",
        ),
        (
            {"container": {"blkio": {"weight_device": [{"path": "/dev/sda"}]}}},
            f"{PLACE}.container.blkio.weight_device[0]: object missing required field `weight`",
        ),
        ({"pull_policy": None}, f"{PLACE}.pull_policy: "),
        ({"container": 3}, f"{PLACE}.container: expected `object`, got `int`"),
    ],
)
def test_a_wrong_document_is_refused_with_its_place(document: Any, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        decode(document)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("text", ["", "{", "nonsense", "[" * 40_000, '{"a": 1} x'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="not valid JSON"):
        decode_extensions({EXTENSION_LABEL: text})


def test_a_document_has_a_greatest_length() -> None:
    with pytest.raises(InvalidArgument, match="at most 65536 are allowed"):
        decode_extensions({EXTENSION_LABEL: " " * (MAX_LENGTH + 1)})


_TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                ["container", "devices", "ports", "depends_on", "source", "networks", "x"]
            ),
            inner,
        )
    ),
)


@given(_TREES)
def test_any_document_is_accepted_or_refused_with_a_place(tree: Any) -> None:
    try:
        outcome = msgspec.json.encode(decode(tree)).decode()
    except InvalidArgument as error:
        outcome = str(error)
    assert outcome.startswith(("{", PLACE))
