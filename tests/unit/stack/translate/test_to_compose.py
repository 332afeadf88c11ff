"""A stack that is written back as a compose file is the same stack."""

from __future__ import annotations

import base64
from copy import deepcopy

import pytest

from stack.compose.yaml_writer import write_yaml
from stack.deploy.plan import comparable
from stack.translate.stack_spec import StackSpec, stack_spec
from stack.translate.to_compose import Imported, to_compose
from tests.unit.stack.project import load_texts

FILES = {
    "settings": """
        services:
          web:
            image: "registry:5000/web:1"
            entrypoint: [sh, -c]
            command: ["echo $$HOME; sleep 1"]
            environment: {A: "1", PRICE: "5$$", EMPTY: ""}
            labels: {x: "y"}
            hostname: h
            user: "7"
            working_dir: /srv
            stop_signal: SIGINT
            stop_grace_period: 1m30s
            init: false
            tty: true
            stdin_open: true
            read_only: true
            cap_add: [NET_ADMIN]
            group_add: [audio]
            sysctls: {net.core.somaxconn: "128"}
            extra_hosts: {one: 10.0.0.1}
            dns: [10.0.0.53]
            dns_search: [example.net]
            ulimits: {nofile: {soft: 10, hard: 20}}
            security_opt: ["no-new-privileges"]
            oom_score_adj: 5
            logging: {driver: json-file, options: {max-size: 1m}}
            healthcheck:
              test: [CMD-SHELL, "test $$A"]
              interval: 5s
              timeout: 1500ms
              start_period: 1m
              retries: 3
    """,
    "deploy": """
        services:
          web:
            image: i
            ports: [{target: 80, published: 8080, mode: host}, {target: 53, protocol: udp, mode: host}]
            deploy:
              replicas: 3
              labels: {route: "a$$b"}
              endpoint_mode: dnsrr
              update_config: {parallelism: 2, delay: 1s, order: start-first, failure_action: rollback,
                              monitor: 9s, max_failure_ratio: 0.25}
              rollback_config: {parallelism: 0}
              restart_policy: {condition: on-failure, delay: 0s, max_attempts: 3, window: 1m}
              placement: {constraints: [node.role == worker], preferences: [{spread: node.labels.z}],
                          max_replicas_per_node: 2}
              resources:
                limits: {cpus: "0.25", memory: 64M, pids: 7}
                reservations: {memory: 32M,
                  generic_resources: [{discrete_resource_spec: {kind: gpu, value: 2}}]}
    """,
    "ports": """
        services:
          web:
            image: i
            ports:
              - "127.0.0.1:8081:80"
              - "10.0.0.1:8081:80"
              - "8082:80/udp"
              - {target: 81, published: 8083, x-hide-client: true}
              - {target: 82, published: 8084, mode: host, host_ip: "::1"}
    """,
    "modes": """
        services:
          everywhere: {image: i, deploy: {mode: global}}
          job: {image: i, deploy: {mode: replicated-job, replicas: 4}}
          jobs: {image: i, deploy: {mode: global-job}}
          none: {image: i, deploy: {replicas: 0}}
          host: {image: i, network_mode: host}
    """,
    "references": """
        services:
          web:
            image: i
            secrets: [pass, {source: outer, target: /o, uid: "7", gid: "8", mode: 0400}]
            configs: [{source: conf, target: /etc/conf}]
            networks: {front: {aliases: [www]}, outside: }
            volumes:
              - data:/data
              - {type: volume, source: nfs, target: /nfs, read_only: true, volume: {nocopy: true}}
              - /var/log:/logs:ro
              - {type: tmpfs, target: /tmp, tmpfs: {size: 1m}}
          db: {image: i}
        secrets: {pass: {external: true, name: st_pass}, outer: {external: true}}
        configs: {conf: {content: "text with $$ and\\nlines"}}
        networks: {front: {internal: true, driver_opts: {encrypted: ""}, labels: {a: b}},
                   outside: {external: true}}
        volumes: {data: , nfs: {driver: local, driver_opts: {type: nfs, o: "addr=$$x"}}}
    """,
}


def as_stored(stack: StackSpec) -> tuple[list[dict], list[dict], dict[str, dict]]:
    """Specs, networks and configs as a cluster shows them."""
    networks = [
        {**request, "Id": f"id-{request['Name']}", "Scope": "swarm"} for request in stack.networks
    ]
    networks += [{"Id": f"id-{n}", "Name": n, "Scope": "swarm"} for n in stack.external_networks]
    ids = {network["Name"]: network["Id"] for network in networks}
    specs = deepcopy(list(stack.services))
    for spec in specs:
        for attachment in spec["TaskTemplate"]["Networks"]:
            attachment["Target"] = ids.get(attachment["Target"], attachment["Target"])
    configs = {request["Name"]: {"Spec": request} for request in stack.configs}
    return specs, networks, configs


def written_back(text: str) -> tuple[StackSpec, Imported]:
    stack = stack_spec(load_texts(text, stack="st").compose)
    return stack, to_compose("st", *as_stored(stack))  # type: ignore[arg-type]


def readable(imported: Imported) -> str:
    """The file, with the contents of its configs in it."""
    compose = deepcopy(imported.compose)
    for config in (compose.get("configs") or {}).values():
        content = imported.files[config.pop("file").removeprefix("./")].decode()
        config["content"] = content.replace("$", "$$")
    return write_yaml(compose)


@pytest.mark.parametrize("name", FILES)
def test_what_is_written_back_is_the_same_stack(name: str) -> None:
    stack, imported = written_back(FILES[name])
    assert imported.notes == ()
    again = stack_spec(load_texts(readable(imported), stack="st").compose)
    before = {spec["Name"]: comparable(spec, {}) for spec in stack.services}
    assert {spec["Name"]: comparable(spec, {}) for spec in again.services} == before
    assert again.configs == stack.configs
    assert sorted(again.external_networks) == sorted(stack.external_networks)
    for request in stack.networks:
        [same] = [one for one in again.networks if one["Name"] == request["Name"]]
        assert {key: value for key, value in same.items() if value} == {
            key: value for key, value in request.items() if value
        }


def test_what_a_file_cannot_say_is_told() -> None:
    spec = {
        "Name": "st_web",
        "Labels": {"com.stackyard.ext": '{"container":{"privileged":true},"ports":[]}'},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "i",
                "Privileges": {"Seccomp": {"Mode": "unconfined"}},
                "NewMember": 1,
            }
        },
    }
    imported = to_compose("st", [spec], [], {})
    assert imported.notes == (
        "services.web: ContainerSpec.NewMember is not in the file",
        "services.web: ContainerSpec.Privileges is not in the file",
        "services.web: settings of Stackyard's own label are not in the file: container",
    )


def test_contents_of_secrets_are_never_asked_for_and_binary_configs_are_files() -> None:
    spec = {
        "Name": "st_web",
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "i",
                "Secrets": [{"SecretName": "st_pass", "SecretID": "s", "File": {"Name": "pass"}}],
                "Configs": [{"ConfigName": "st_c", "ConfigID": "c", "File": {"Name": "/c"}}],
            }
        },
    }
    config = {"Spec": {"Name": "st_c", "Data": base64.b64encode(b"\0\xff").decode()}}
    imported = to_compose("st", [spec], [], {"st_c": config})  # type: ignore[dict-item]
    assert imported.compose["secrets"] == {"pass": {"external": True, "name": "st_pass"}}
    assert imported.files == {"configs/st_c": b"\0\xff"}
