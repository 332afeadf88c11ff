"""The objects of a stack are those that docker stack deploy sends for the same file.

The expected bodies were taken from what Docker's client 28.2.2 sent for the same file, shortened
to this file's size by hand; null members of networks included.
"""

from stack.translate.stack_spec import stack_spec
from tests.unit.stack.project import load_texts

FILE = """
services:
  web:
    image: busybox
    command: sh -c "sleep 1"
    entrypoint: ["/init"]
    environment: {B: "2", A: 1}
    labels: {c: d}
    init: false
    stop_grace_period: 1s
    healthcheck: {test: ["CMD", "true"], interval: 5s}
    volumes: [data:/data:ro, logs:/logs, /anon, {type: bind, source: /etc, target: /e, bind: {propagation: rslave}}]
    networks: {front: {aliases: [www]}, back: }
    ports:
      - {target: 81, published: 18081, mode: host, protocol: udp}
      - {target: 80, published: 18080, mode: host}
    deploy:
      replicas: 2
      labels: {l: "1"}
      endpoint_mode: dnsrr
      update_config: {parallelism: 1, delay: 1s, failure_action: rollback, order: stop-first}
      restart_policy: {condition: any, delay: 2s, max_attempts: 3}
      resources: {limits: {cpus: "0.5", memory: 50M, pids: 100}, reservations: {memory: 10M}}
      placement:
        constraints: ["node.role == manager"]
        preferences: [{spread: node.labels.zone}]
        max_replicas_per_node: 4
  g:
    image: registry:5000/busybox
    deploy: {mode: global}
  h:
    image: busybox:1
    networks: [hostnet]
networks:
  front: {attachable: true}
  back: {name: backbone, driver_opts: {encrypted: 1}, ipam: {config: [{subnet: 10.9.0.0/24}]}, internal: true}
  hostnet: {external: true, name: host}
volumes:
  data: {labels: {v: 1}, driver: local, driver_opts: {type: nfs}}
  logs: {external: true}
"""

STACK_LABEL = {"com.docker.stack.namespace": "st"}
NO_PRIVILEGES = {"CredentialSpec": None, "SELinuxContext": None, "NoNewPrivileges": False}


def test_services() -> None:
    web, g, h = stack_spec(load_texts(FILE, stack="st").compose).services
    assert web == {
        "Name": "st_web",
        "Labels": {"com.docker.stack.image": "busybox", "l": "1", **STACK_LABEL},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "busybox:latest",
                "Labels": {"c": "d", **STACK_LABEL},
                "Command": ["/init"],
                "Args": ["sh", "-c", "sleep 1"],
                "Env": ["A=1", "B=2"],
                "Privileges": NO_PRIVILEGES,
                "Init": False,
                "StopGracePeriod": 1000000000,
                "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5000000000},
                "Mounts": [
                    {
                        "Type": "volume",
                        "Source": "st_data",
                        "Target": "/data",
                        "ReadOnly": True,
                        "VolumeOptions": {
                            "Labels": {"v": "1", **STACK_LABEL},
                            "DriverConfig": {"Name": "local", "Options": {"type": "nfs"}},
                        },
                    },
                    {"Type": "volume", "Source": "logs", "Target": "/logs", "VolumeOptions": {}},
                    {"Type": "volume", "Target": "/anon"},
                    {
                        "Type": "bind",
                        "Source": "/etc",
                        "Target": "/e",
                        "BindOptions": {"Propagation": "rslave"},
                    },
                ],
            },
            "Resources": {
                "Limits": {"NanoCPUs": 500000000, "MemoryBytes": 52428800, "Pids": 100},
                "Reservations": {"MemoryBytes": 10485760},
            },
            "RestartPolicy": {"Condition": "any", "Delay": 2000000000, "MaxAttempts": 3},
            "Placement": {
                "Constraints": ["node.role == manager"],
                "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}],
                "MaxReplicas": 4,
            },
            "Networks": [
                {"Target": "backbone", "Aliases": ["web"]},
                {"Target": "st_front", "Aliases": ["www", "web"]},
            ],
            "ForceUpdate": 0,
        },
        "Mode": {"Replicated": {"Replicas": 2}},
        "UpdateConfig": {
            "Parallelism": 1,
            "Delay": 1000000000,
            "FailureAction": "rollback",
            "MaxFailureRatio": 0,
            "Order": "stop-first",
        },
        "EndpointSpec": {
            "Mode": "dnsrr",
            "Ports": [
                {
                    "Protocol": "tcp",
                    "TargetPort": 80,
                    "PublishedPort": 18080,
                    "PublishMode": "host",
                },
                {
                    "Protocol": "udp",
                    "TargetPort": 81,
                    "PublishedPort": 18081,
                    "PublishMode": "host",
                },
            ],
        },
    }
    assert g == {
        "Name": "st_g",
        "Labels": {"com.docker.stack.image": "registry:5000/busybox", **STACK_LABEL},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "registry:5000/busybox:latest",
                "Labels": STACK_LABEL,
                "Privileges": NO_PRIVILEGES,
            },
            "Resources": {},
            "Placement": {},
            "Networks": [{"Target": "st_default", "Aliases": ["g"]}],
            "ForceUpdate": 0,
        },
        "Mode": {"Global": {}},
        "EndpointSpec": {},
    }
    assert h["TaskTemplate"]["Networks"] == [{"Target": "host"}]
    assert h["Mode"] == {"Replicated": {}}


def test_an_empty_rollback_section_still_says_one_at_a_time() -> None:
    text = "services: {a: {image: i, deploy: {rollback_config: {}}}}"
    (service,) = stack_spec(load_texts(text).compose).services
    assert service["RollbackConfig"] == {"Parallelism": 1, "MaxFailureRatio": 0, "Order": ""}


def test_networks() -> None:
    spec = stack_spec(load_texts(FILE, stack="st").compose)
    common = {
        "Driver": "overlay",
        "Scope": "",
        "Ingress": False,
        "ConfigOnly": False,
        "ConfigFrom": None,
        "Labels": STACK_LABEL,
    }
    assert list(spec.networks) == [
        {
            **common,
            "Name": "st_front",
            "Internal": False,
            "Attachable": True,
            "Options": None,
            "IPAM": None,
        },
        {
            **common,
            "Name": "backbone",
            "Internal": True,
            "Attachable": False,
            "Options": {"encrypted": "1"},
            "IPAM": {"Driver": "", "Options": None, "Config": [{"Subnet": "10.9.0.0/24"}]},
        },
        {
            **common,
            "Name": "st_default",
            "Internal": False,
            "Attachable": False,
            "Options": None,
            "IPAM": None,
        },
    ]
    assert spec.external_networks == ()
