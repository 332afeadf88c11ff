from __future__ import annotations

import msgspec
import pytest

from cluster.api.payloads.decoding import decode_body
from cluster.errors import InvalidArgument
from cluster.model.service import GlobalMode, ServiceSpec
from tests.unit.cluster.api.golden_files import golden


def _error(body: bytes) -> str:
    with pytest.raises(InvalidArgument) as caught:
        decode_body(body, ServiceSpec)
    return str(caught.value)


def test_names_of_members_are_taken_in_any_case() -> None:
    spec = decode_body(
        b'{"name":"web","MODE":{"global":{}},"updateconfig":{"order":"start-first"},'
        b'"taskTemplate":{"containerspec":{"image":"a","dnsconfig":{}},"networks":[{"target":"n"}]}}',
        ServiceSpec,
    )
    assert spec.name == "web"
    assert spec.mode is not None
    assert spec.mode.global_ == GlobalMode()
    assert spec.update_config is not None
    assert spec.update_config.order == "start-first"
    assert spec.task_template.container_spec is not None
    assert spec.task_template.container_spec.dns_config is not None
    assert spec.task_template.networks[0].target == "n"


def test_the_canonical_spelling_goes_before_others() -> None:
    assert decode_body(b'{"Name":"right","name":"wrong"}', ServiceSpec).name == "right"
    assert decode_body(b'{"name":"wrong","Name":"right"}', ServiceSpec).name == "right"


def test_keys_of_maps_are_data() -> None:
    labels = decode_body(b'{"labels":{"Name":"x","com.a.B":""}}', ServiceSpec).labels
    assert labels == {"Name": "x", "com.a.B": ""}


def test_null_and_unknown_members_count_as_absent() -> None:
    spec = decode_body(
        b'{"Labels":null,"Mode":null,"Future":[1],"TaskTemplate":{"Networks":null}}', ServiceSpec
    )
    assert spec == ServiceSpec()


def test_an_empty_word_counts_as_absent() -> None:
    spec = decode_body(
        b'{"EndpointSpec":{"Ports":[{"Protocol":"","PublishMode":"","TargetPort":80}]}}',
        ServiceSpec,
    )
    assert spec.endpoint_spec is not None
    assert spec.endpoint_spec.ports[0].protocol is None


def test_false_differs_from_absent() -> None:
    spec = decode_body(b'{"TaskTemplate":{"ContainerSpec":{"Init":false}}}', ServiceSpec)
    assert spec.task_template.container_spec is not None
    assert spec.task_template.container_spec.init is False


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the request has no body"),
        (b"{bad", "not valid JSON"),
        (b"{} x", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"Name":1}', "Name: expected `str`, got `int`"),
        (
            b'{"tasktemplate":{"containerspec":{"env":["A=1",2]}}}',
            "TaskTemplate.ContainerSpec.Env[1]: expected `str`, got `int`",
        ),
        (b'{"Labels":{"a":1}}', "Labels[...]: expected `str`, got `int`"),
        (
            b'{"UpdateConfig":{"FailureAction":"zzz"}}',
            "UpdateConfig.FailureAction: invalid enum value 'zzz'",
        ),
        (b'{"EndpointSpec":{"Ports":[{"TargetPort":1.5}]}}', "EndpointSpec.Ports[0].TargetPort"),
    ],
)
def test_an_error_names_the_member(body: bytes, message: str) -> None:
    assert message in _error(body)


@pytest.mark.parametrize("number", range(len(golden("service-create-requests"))))
def test_recorded_requests_are_understood(number: int) -> None:
    recorded = golden("service-create-requests")[number]["body"]
    spec = decode_body(msgspec.json.encode(recorded), ServiceSpec)
    assert spec.name == recorded.get("Name", "")
