from __future__ import annotations

from typing import Any

import pytest

from stack.translate.service_options import Changes, WrongOption, changed_spec

BASE: dict[str, Any] = {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "a"}}}


def test_settings_go_to_their_places_and_the_rest_stays() -> None:
    spec = changed_spec(
        BASE,
        Changes(
            settings={
                "stop-grace-period": "1m30s",
                "limit-cpu": "0.5",
                "reserve-memory": "64m",
                "update-failure-action": "rollback",
                "rollback-max-failure-ratio": "0.25",
                "entrypoint": "sh -c 'a b'",
                "health-cmd": "true",
            },
            switches={"init": True, "tty": False},
        ),
    )
    container = spec["TaskTemplate"]["ContainerSpec"]
    assert container == {
        "Image": "a",
        "StopGracePeriod": 90_000_000_000,
        "Command": ["sh", "-c", "a b"],
        "Healthcheck": {"Test": ["CMD-SHELL", "true"]},
        "Init": True,
        "TTY": False,
    }
    assert spec["TaskTemplate"]["Resources"] == {
        "Limits": {"NanoCPUs": 500_000_000},
        "Reservations": {"MemoryBytes": 64 << 20},
    }
    assert spec["UpdateConfig"] == {"FailureAction": "rollback"}
    assert spec["RollbackConfig"] == {"MaxFailureRatio": 0.25}
    assert BASE == {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "a"}}}


@pytest.mark.parametrize(
    ("name", "text", "path", "item"),
    [
        ("env", "A=1=2", ("TaskTemplate", "ContainerSpec", "Env"), "A=1=2"),
        ("constraint", "node.role==worker", ("TaskTemplate", "Placement", "Constraints"),
         "node.role==worker"),
        ("placement-pref", "spread=node.labels.z", ("TaskTemplate", "Placement", "Preferences"),
         {"Spread": {"SpreadDescriptor": "node.labels.z"}}),
        ("publish", "8080:80", ("EndpointSpec", "Ports"),
         {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}),
        ("publish", "8080:80/udp", ("EndpointSpec", "Ports"),
         {"Protocol": "udp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}),
        ("publish", "mode=host,published=8080,target=80,protocol=udp", ("EndpointSpec", "Ports"),
         {"Protocol": "udp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}),
        ("mount", "type=bind,source=/a,target=/b,readonly",
         ("TaskTemplate", "ContainerSpec", "Mounts"),
         {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}),
        ("mount", "type=tmpfs,dst=/b,tmpfs-size=1m", ("TaskTemplate", "ContainerSpec", "Mounts"),
         {"Type": "tmpfs", "Target": "/b", "TmpfsOptions": {"SizeBytes": 1 << 20}}),
        ("network", "name=front,alias=www", ("TaskTemplate", "Networks"),
         {"Target": "front", "Aliases": ["www"]}),
        ("secret", "source=key,target=k.pem,uid=7,mode=0440",
         ("TaskTemplate", "ContainerSpec", "Secrets"),
         {"name": "key", "File": {"Name": "k.pem", "UID": "7", "GID": "0", "Mode": 0o440}}),
        ("generic-resource", "gpu=2", ("TaskTemplate", "Resources", "Reservations",
         "GenericResources"), {"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}),
        ("ulimit", "nofile=1:2", ("TaskTemplate", "ContainerSpec", "Ulimits"),
         {"Name": "nofile", "Soft": 1, "Hard": 2}),
        ("host", "db:10.0.0.5", ("TaskTemplate", "ContainerSpec", "Hosts"), "10.0.0.5 db"),
    ],
)  # fmt: skip
def test_lists(name: str, text: str, path: tuple[str, ...], item: object) -> None:
    found: Any = changed_spec(BASE, Changes(added={name: [text]}))
    for part in path:
        found = found[part]
    assert found == [item]


def test_what_is_added_replaces_what_has_its_name_and_what_is_removed_goes() -> None:
    spec = changed_spec(
        BASE,
        Changes(
            added={"env": ["A=1", "B=1"], "label": ["x=1", "y=1"], "publish": ["80:80", "81:81"]}
        ),
    )
    spec = changed_spec(
        spec,
        Changes(
            added={"env": ["A=2"], "label": ["x=2"], "publish": ["90:80"]},
            removed={"env": ["B"], "label": ["y"], "publish": ["81/tcp"]},
        ),
    )
    assert spec["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=2"]
    assert spec["Labels"] == {"x": "2"}
    assert [port["PublishedPort"] for port in spec["EndpointSpec"]["Ports"]] == [90]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (Changes(settings={"replicas": "many"}), "--replicas: 'many' is no whole number"),
        (Changes(settings={"update-delay": "soon"}), "--update-delay: 'soon' is no duration"),
        (Changes(settings={"update-max-failure-ratio": "2"}), "not from 0 to 1"),
        (Changes(added={"env": ["=x"]}), "--env: '=x' has no name"),
        (Changes(added={"publish": ["mode=host"]}), "has no target=PORT"),
        (Changes(added={"publish": ["1-2:1-2"]}), "not a range"),
        (Changes(added={"publish": ["127.0.0.1:80:80"]}), "only a compose file can limit"),
        (Changes(added={"mount": ["type=bind"]}), "has no target=PATH"),
        (Changes(added={"mount": ["target=/x,colour=red"]}), "'colour' is none of type"),
        (Changes(added={"secret": ["source=a,mode=9"]}), "octal"),
        (Changes(added={"placement-pref": ["node.labels.z"]}), "spread=node.labels.NAME"),
        (Changes(removed={"env": ["A"]}), "--env-rm A: there is none"),
        (Changes(removed={"label": ["A"]}), "--label-rm A: there is none"),
    ],
)
def test_wrong_values_are_named(changes: Changes, message: str) -> None:
    with pytest.raises(WrongOption, match=message):
        changed_spec(BASE, changes)
