"""Whole files to the model, and what is said about them."""

import pytest

from stack.compose.types import Healthcheck, Mount, Port, Resources, RestartPolicy, UpdateConfig
from stack.errors import ComposeError, UsageError
from tests.unit.stack.project import load_texts

SECOND = 10**9


def service(body: str, **environment: str):
    loaded = load_texts(f"services:\n  web:\n    image: i\n{indent(body)}", environment=environment)
    return loaded.compose.services[0]


def indent(body: str) -> str:
    return "\n".join(f"    {line}" for line in body.splitlines())


def notices(*texts: str, **environment: str) -> list[str]:
    return [str(one) for one in load_texts(*texts, environment=environment).notices]


def error(*texts: str) -> str:
    with pytest.raises(ComposeError) as caught:
        load_texts(*texts)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_service_with_everything() -> None:
    web = service(
        """
command: sh -c "echo $$X"
entrypoint: [/init, '5']
environment: {A: 1, B: true, C: 1.50, D: "$X"}
labels: [a=1, b]
working_dir: /w
user: '1000'
hostname: h
stop_grace_period: 1m
stop_signal: SIGINT
init: false
tty: yes
stdin_open: "true"
read_only: true
healthcheck: {test: curl x, interval: 5s, timeout: 1s, retries: 3, start_period: 2s, start_interval: 1s}
ports: [{target: 80, published: "8080", mode: host, protocol: udp}]
""",
        X="x",
    )
    assert web.command == ("sh", "-c", "echo $X")
    assert web.entrypoint == ("/init", "5")
    assert web.environment == {"A": "1", "B": "true", "C": "1.5", "D": "x"}
    assert web.labels == {"a": "1", "b": ""}
    assert (web.working_dir, web.user, web.hostname) == ("/w", "1000", "h")
    assert (web.stop_grace_period_ns, web.stop_signal) == (60 * SECOND, "SIGINT")
    assert (web.init, web.tty, web.stdin_open, web.read_only) == (False, True, True, True)
    assert web.healthcheck == Healthcheck(
        test=("CMD-SHELL", "curl x"),
        interval_ns=5 * SECOND,
        timeout_ns=SECOND,
        retries=3,
        start_period_ns=2 * SECOND,
        start_interval_ns=SECOND,
    )
    assert web.ports == (Port(target=80, published=8080, protocol="udp", mode="host"),)


def test_deploy() -> None:
    deploy = service(
        """
deploy:
  replicas: "3"
  labels: {x: 1}
  endpoint_mode: DNSRR
  placement:
    constraints: [node.role == worker, "node.labels.zone!=a"]
    preferences: [{spread: node.labels.zone}]
    max_replicas_per_node: 2
  resources:
    limits: {cpus: 0.5, memory: 50M, pids: 10}
    reservations: {memory: 1g}
  restart_policy: {condition: on-failure, delay: 5s, max_attempts: 3, window: 1m}
  update_config: {delay: 10s, order: start-first}
"""
    ).deploy
    assert (deploy.replicas, deploy.labels, deploy.endpoint_mode) == (3, {"x": "1"}, "dnsrr")
    assert deploy.placement.constraints == ("node.role == worker", "node.labels.zone!=a")
    assert deploy.placement.spread_over == ("node.labels.zone",)
    assert deploy.placement.max_replicas_per_node == 2
    assert deploy.limits == Resources(nano_cpus=5 * 10**8, memory_bytes=50 * 2**20, pids=10)
    assert deploy.reservations == Resources(memory_bytes=2**30)
    assert deploy.restart_policy == RestartPolicy(
        condition="on-failure", delay_ns=5 * SECOND, max_attempts=3, window_ns=60 * SECOND
    )
    assert deploy.update_config == UpdateConfig(delay_ns=10 * SECOND, order="start-first")


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("always", RestartPolicy(condition="any")),
        ("unless-stopped", RestartPolicy(condition="any")),
        ("on-failure", RestartPolicy(condition="on-failure")),
        ("on-failure:3", RestartPolicy(condition="on-failure", max_attempts=3)),
        ('"no"', RestartPolicy(condition="none")),
        ("no", RestartPolicy(condition="none")),
    ],
)
def test_restart_is_the_restart_policy(text: str, policy: RestartPolicy) -> None:
    assert service(f"restart: {text}").deploy.restart_policy == policy


def test_volumes_are_mounts_in_the_order_of_the_file() -> None:
    loaded = load_texts(
        """
        services:
          web:
            image: i
            volumes: [data:/d:ro, ./x:/x, ~/y:/y, /anon, {type: tmpfs, target: /t, tmpfs: {size: 1m}}]
        volumes: {data: }
        """
    )
    assert loaded.compose.services[0].mounts == (
        Mount(type="volume", source="data", target="/d", read_only=True),
        Mount(type="bind", source="/srv/shop/x", target="/x", create_host_path=True),
        Mount(type="bind", source="/home/u/y", target="/y", create_host_path=True),
        Mount(type="volume", target="/anon"),
        Mount(type="tmpfs", target="/t", tmpfs_size_bytes=2**20),
    )


def test_networks_that_no_service_joins_are_left_out() -> None:
    loaded = load_texts(
        """
        services:
          a: {image: i, networks: [front]}
          b: {image: i}
        networks: {front: {attachable: true}, unused: {}, }
        """
    )
    assert set(loaded.compose.networks) == {"front", "default"}
    assert loaded.compose.networks["front"].attachable


def test_an_environment_name_without_value_is_looked_up_or_left_out() -> None:
    text = "services: {web: {image: i, environment: [A, B, C=]}}"
    loaded = load_texts(text, environment={"A": "1"})
    assert loaded.compose.services[0].environment == {"A": "1", "C": ""}
    assert [str(one) for one in loaded.notices] == [
        (
            "a.yml:1: services.web.environment.B: "
            "has no value here and none in the environment: not passed on"
        )
    ]


@pytest.mark.parametrize(
    ("stack", "environment", "text", "name"),
    [
        ("Asked", {"COMPOSE_PROJECT_NAME": "env"}, "name: file", "Asked"),
        ("", {"COMPOSE_PROJECT_NAME": "env"}, "name: file", "env"),
        ("", {"X": "My App!"}, "name: $X", "myapp"),
        ("", {}, "", "shop"),
    ],
)
def test_the_name_of_the_stack(
    stack: str, environment: dict[str, str], text: str, name: str
) -> None:
    body = f"{text}\nservices: {{web: {{image: 'i:$COMPOSE_PROJECT_NAME'}}}}"
    compose = load_texts(body, environment=environment, stack=stack).compose
    assert compose.name == name
    assert compose.services[0].image == f"i:{name}"


def test_a_name_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="stack name 'a b'"):
        load_texts("services: {web: {image: i}}", stack="a b")


STORED = "stored in the service, but stackd does not act on it yet"


def test_every_key_that_is_not_applied_is_named_in_the_order_of_the_file() -> None:
    assert notices(
        """\
        version: "3.8"
        x-anything: 1
        services:
          web:
            image: i
            hostname: $NO
            build: .
            devices: [/dev/x]
            depends_on: [db]
            expose: [80]
            x-mine: 1
            networks: {default: {ipv6_address: "fd00::1"}}
            ports: [{target: 80, mode: host, app_protocol: http}]
            links: [db]
          db: {image: i, logging: {driver: none}, profiles: []}
        """
    ) == [
        "a.yml:1: version: is no longer needed and ignored",
        "a.yml:6: the variable NO is not set: an empty text stands for it",
        "a.yml:7: services.web.build: not applied: build the image first; 'image' is used as it is",
        f"a.yml:12: services.web.networks.default.ipv6_address: {STORED}",
        "a.yml:13: services.web.ports[0].app_protocol: not applied",
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("imagee: x", "a.yml:4: services.web: unknown key 'imagee' (did you mean 'image'?)"),
        ("deploy: {replica: 1}", "a.yml:4: services.web.deploy: unknown key 'replica' (did you mean 'replicas'?)"),
        ("secrets: [s]", "a.yml:4: services.web.secrets[0]: undefined secret 's': declare it under secrets:"),
        ("extends: {service: x}", "a.yml:4: services.web.extends: there is no service 'x' in a.yml"),
        ("image: 'Bad Image'", "a.yml:4: key 'image' is there twice (first in line 3)"),
        ("deploy: {replicas: -1}", "a.yml:4: services.web.deploy.replicas: -1 is below 0"),
        ("deploy: {replicas: many}", "a.yml:4: services.web.deploy.replicas: must be a whole number, not 'many'"),
        ("deploy: {replicas: true}", "a.yml:4: services.web.deploy.replicas: must be a whole number, not true"),
        ("deploy: {mode: twice}", "a.yml:4: services.web.deploy.mode: 'twice' is none of replicated, global, replicated-job, global-job"),
        ("deploy: {mode: global, replicas: 2}", "a.yml:4: services.web.deploy.replicas: a global service"),
        ("deploy: {mode: global-job, replicas: 2}", "a.yml:4: services.web.deploy.replicas: a global-job service"),
        ("deploy: {mode: global-job, update_config: {}}", "a.yml:4: services.web.deploy.update_config: a global-job has no updates"),
        ("deploy: []", "a.yml:4: services.web.deploy: must be a map, not a list"),
        ("stop_grace_period: 10", "a.yml:4: services.web.stop_grace_period: 10 has no unit"),
        ("init: '1'", "a.yml:4: services.web.init: must be true or false, not '1'"),
        ("restart: sometimes", "a.yml:4: services.web.restart: 'sometimes' is none of"),
        ("restart: always:3", "a.yml:4: services.web.restart: 'always:3' is none of"),
        ("healthcheck: {test: [curl, x]}", "a.yml:4: services.web.healthcheck.test: must begin with CMD"),
        ("healthcheck: {test: x, disable: true}", "a.yml:4: services.web.healthcheck.disable: 'test' and"),
        ("networks: [front]", "a.yml:4: services.web.networks.front: undefined network 'front'"),
        ("volumes: [data:/d]", "a.yml:4: services.web.volumes[0]: undefined volume 'data'"),
        ("volumes: {a: b}", "a.yml:4: services.web.volumes: must be a list, not a map"),
        ("command: \"a 'b\"", "a.yml:4: services.web.command: the quote ' is never closed"),
        ("ports: [{target: 0, mode: host}]", "a.yml:4: services.web.ports[0].target: must be a port"),
        ("ports: [x]", "a.yml:4: services.web.ports: 'x' is no port"),
        (
            "deploy: {placement: {constraints: [node.labels.zone=a]}}",
            "a.yml:4: services.web.deploy.placement.constraints: 'node.labels.zone=a' is no constraint",
        ),
        (
            "deploy: {placement: {constraints: [node.color==red]}}",
            "a.yml:4: services.web.deploy.placement.constraints: 'node.color==red': 'node.color' is none of",
        ),
        ("environment: {A: [1]}", "a.yml:4: services.web.environment.A: must be text"),
        ("command: [a, 5]", "a.yml:4: services.web.command[1]: must be text, not a number (5): put it in quotes"),
    ],
)  # fmt: skip
def test_a_wrong_service_gives_one_error_with_its_place(body: str, message: str) -> None:
    assert error(f"services:\n  web:\n    image: i\n    {body}\n").startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.yml: the file is empty"),
        ("- a\n", "a.yml:1: the file must be a map with 'services:', not a list"),
        ("name: x\n", "a.yml:1: the file has no services"),
        ("services:\n  web:\n", "a.yml:2: services.web: must be a map, not empty"),
        ("services:\n  web: {command: x}\n", "a.yml:2: services.web: has neither an image nor 'build'"),
        ("services:\n  web:\n    build: .\n", "a.yml:3: services.web: has no image: 'build' is not done by a stack"),
        ("services:\n  web: {image: 'i:'}\n", "a.yml:2: services.web.image: 'i:' is no image"),
        ("services:\n  a b: {image: i}\n", "a.yml:2: services: 'a b' is no name: use letters"),
        ("service: {}\n", "a.yml:1: unknown key 'service' (did you mean 'services'?)"),
        ("include: [x]\nservices: {w: {image: i}}\n", "a.yml:1: include[0]: there is no file /srv/shop/x"),
        ("services: {w: {image: i}}\nvolumes: {n: {external: true, driver: local}}\n", "a.yml:2: volumes.n.driver"),
    ],
)  # fmt: skip
def test_a_wrong_file_gives_one_error_with_its_place(text: str, message: str) -> None:
    assert error(text).startswith(message)
