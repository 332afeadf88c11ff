from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.api.payloads.services import decode_service_spec
from cluster.api.versions import ApiVersion
from cluster.errors import InvalidArgument, Unimplemented

CONTAINER = '"TaskTemplate":{"ContainerSpec":{"Image":"a"}}'
V41, V44 = ApiVersion(1, 41), ApiVersion(1, 44)


def test_networks_at_the_top_count_for_old_clients() -> None:
    body = ("{" + CONTAINER + ',"Networks":[{"Target":"n"}]}').encode()
    old, new = decode_service_spec(body, V41), decode_service_spec(body, V44)
    assert old.task_template.networks[0].target == "n"
    assert old.networks == old.task_template.networks
    assert not new.task_template.networks
    assert not new.networks


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("Replicated", "replicated"),
        ("Global", "global"),
        ("ReplicatedJob", "replicated-job"),
        ("GlobalJob", "global-job"),
        ("replicatedjob", "replicated-job"),
    ],
)
def test_each_mode_is_read(mode: str, name: str) -> None:
    body = ("{" + CONTAINER + f',"Mode":{{"{mode}":{{}}}}}}').encode()
    assert decode_service_spec(body, V41).mode_name == name


def test_two_modes_are_refused() -> None:
    body = ("{" + CONTAINER + ',"Mode":{"Replicated":{},"Global":{}}}').encode()
    with pytest.raises(InvalidArgument, match="must specify only one service mode"):
        decode_service_spec(body, V41)


def test_a_template_must_hold_a_container() -> None:
    with pytest.raises(InvalidArgument, match=r"mismatched Runtime and \*Spec fields"):
        decode_service_spec(b'{"Name":"e1"}', V41)
    with pytest.raises(Unimplemented, match="PluginSpec"):
        decode_service_spec(b'{"TaskTemplate":{"PluginSpec":{}}}', V41)


@pytest.mark.parametrize(
    "template",
    [
        {"PluginSpec": {"Name": "a"}},
        {"Runtime": "plugin"},
        {"NetworkAttachmentSpec": {"ContainerID": "a"}},
        {"Runtime": "attachment"},
    ],
)
def test_other_kinds_of_services_are_refused(template: dict[str, Any]) -> None:
    with pytest.raises(Unimplemented, match=r"TaskTemplate\.(Plugin|NetworkAttachment)Spec: "):
        decode_service_spec(json.dumps({"TaskTemplate": template}).encode(), V44)


def test_an_unknown_runtime_is_named() -> None:
    with pytest.raises(InvalidArgument, match=r"TaskTemplate\.Runtime: 'x' is not container"):
        decode_service_spec(b'{"TaskTemplate": {"Runtime": "x"}}', V44)
