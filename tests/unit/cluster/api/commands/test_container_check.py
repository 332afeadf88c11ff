from __future__ import annotations

from typing import Any

import pytest

from cluster.api.commands.container_check import check_container
from cluster.api.payloads.decoding import convert_tree
from cluster.errors import InvalidArgument
from cluster.model.container import ContainerSpec


def _check(**members: Any) -> None:
    check_container(convert_tree({"Image": "a", **members}, ContainerSpec))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"Hosts": ["10.0.0.5 a", "b:10.0.0.5"]}, "Hosts[1]: 'b:10.0.0.5' is not an IP address"),
        ({"Hosts": ["10.0.0.5"]}, "Hosts[0]: '10.0.0.5' is not an IP address"),
        ({"Hosts": ["10.0.0.500 a"]}, "Hosts[0]: '10.0.0.500 a' is not an IP address"),
        ({"Hosts": [""]}, "Hosts[0]: '' is not an IP address"),
        ({"Mounts": [{"Target": "rel"}]}, "Mounts[0].Target: invalid mount target, must be an abs"),
        ({"Mounts": [{"Target": "/"}]}, "Mounts[0].Target: '/' is the container's root"),
        ({"Mounts": [{"Target": "/a", "Source": "{{.Bad}}"}]}, "Mounts[0].Source: {{.Bad}} is unk"),
        ({"Mounts": [{"Target": "/{{.Bad}}"}]}, "Mounts[0].Target: {{.Bad}} is unknown"),
        (
            {"Mounts": [{"Target": "/a", "VolumeOptions": {"Labels": {"x": "{{.Bad}}"}}}]},
            "Mounts[0].VolumeOptions.Labels.x: {{.Bad}} is unknown",
        ),
        (
            {
                "Mounts": [
                    {
                        "Target": "/a",
                        "VolumeOptions": {"DriverConfig": {"Options": {"device": "{{.Bad}}"}}},
                    }
                ]
            },
            "Mounts[0].VolumeOptions.DriverConfig.Options.device: {{.Bad}} is unknown",
        ),
        ({"StopSignal": "SIGFOO"}, "StopSignal: invalid signal: 'SIGFOO'; give a name, such as"),
        ({"StopSignal": "0"}, "StopSignal: invalid signal: '0'"),
        ({"StopSignal": "RTMIN+16"}, "StopSignal: invalid signal: 'RTMIN+16'"),
        ({"Healthcheck": {"Interval": 999_999}}, "Healthcheck.Interval: 999999 ns: cannot be less"),
        ({"Healthcheck": {"Timeout": -1}}, "Healthcheck.Timeout: -1 ns: cannot be less than 1ms"),
        ({"Healthcheck": {"StartPeriod": 1}}, "Healthcheck.StartPeriod: 1 ns"),
        ({"Healthcheck": {"Retries": -1}}, "Healthcheck.Retries: -1 is below 0"),
        ({"Hostname": "{{.Bad}}"}, "Hostname: {{.Bad}} is unknown; there are .Service.ID"),
        ({"Hostname": "{{.Task.Slot"}, "Hostname: a template is opened by {{ and never closed"),
        ({"Env": ["A=1", "=2"]}, "Env[1]: a variable without a name"),
        ({"Env": ["A=1", "B=x{{.Bad}}"]}, "Env[1]: {{.Bad}} is unknown"),
    ],
)
def test_what_no_engine_would_run_is_refused(members: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        _check(**members)
    assert f"TaskTemplate.ContainerSpec.{message}" in str(caught.value)


@pytest.mark.parametrize("entry", ["s3cret\nA=1", "A={{ s3cret! }}", "A=s3cret {{.Bad}}"])
def test_an_error_never_shows_a_variable(entry: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        _check(Env=[entry])
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "members",
    [
        {"Hosts": ["10.0.0.5 a b", "::1 c", "[::1] d", "host-gateway e", "10.0.0.6\tf"]},
        {"Mounts": [{"Target": "/a/{{.Task.Slot}}"}, {"Target": "{{.Service.Labels.dir}}"}]},
        {"Healthcheck": {"Interval": 0, "Timeout": 1_000_000, "Retries": 3}},
        {"Hostname": '{{.Node.Hostname}}-{{index .Service.Labels "x"}}'},
        {"Env": ["A", "B=", "C=a\nb", "D={{ .Task.Name }}"]},
        *({"StopSignal": s} for s in ("SIGTERM", "term", "9", "64", "RTMIN", "SIGRTMIN+3", "")),
    ],
)
def test_what_engines_run_is_accepted(members: dict[str, Any]) -> None:
    _check(**members)
