"""The steps from what is to what should be."""

from copy import deepcopy

import pytest

from stack.deploy.plan import (
    CreateNetwork,
    CreateService,
    KeepService,
    Observed,
    RemoveService,
    UpdateService,
    comparable,
    make_plan,
)
from stack.translate.stack_spec import StackSpec, stack_spec
from tests.unit.stack.project import load_texts

FILE = """
services:
  web:
    image: busybox
    restart: always
    deploy: {update_config: {parallelism: 2}, rollback_config: {delay: 1s}}
    ports: [{target: 80, published: 8080, mode: host}]
"""


def wanted(text: str = FILE) -> StackSpec:
    return stack_spec(load_texts(text, stack="st").compose)


def read_back(spec: dict) -> dict:
    """The spec as Docker's managers give it back."""
    spec = deepcopy(spec)
    template = spec["TaskTemplate"]
    template["ContainerSpec"]["Isolation"] = "default"
    del template["ContainerSpec"]["Privileges"]
    template["Runtime"] = "container"
    template["RestartPolicy"]["MaxAttempts"] = 0
    template["Networks"] = [{"Target": "n1", "Aliases": ["web"]}]
    spec["Mode"]["Replicated"]["Replicas"] = 1
    for name in ("UpdateConfig", "RollbackConfig"):
        spec[name] |= {"FailureAction": "pause", "Order": "stop-first"}
    return spec


def observed(spec: dict) -> Observed:
    service = {"ID": "s1", "Version": {"Index": 7}, "Spec": spec}
    return Observed({spec["Name"]: service}, {"st_default": "n1"})


def test_an_empty_cluster_gets_networks_first() -> None:
    stack = wanted()
    assert make_plan(stack, Observed({}, {}), prune=True) == [
        CreateNetwork(stack.networks[0]),
        CreateService(stack.services[0]),
    ]


def test_a_cluster_that_has_all_gives_no_step() -> None:
    stack = wanted()
    assert make_plan(stack, observed(read_back(stack.services[0])), prune=True) == [
        KeepService("s1", "st_web")
    ]


@pytest.mark.parametrize(
    "change",
    [
        "replicas: 0",
        "labels: {a: b}",
        "endpoint_mode: dnsrr",
        "restart_policy: {delay: 0s}",
        "placement: {constraints: [node.role==manager]}",
        "resources: {limits: {pids: 1}}",
        "mode: global",
    ],
)
def test_every_change_is_seen(change: str) -> None:
    before = wanted("services: {web: {image: busybox, restart: always}}")
    after = wanted(f"services: {{web: {{image: busybox, restart: always, deploy: {{{change}}}}}}}")
    spec = read_back_simple(before.services[0])
    (step,) = make_plan(after, observed(spec), prune=False)
    assert isinstance(step, UpdateService)
    assert (step.service_id, step.version) == ("s1", 7)


def read_back_simple(spec: dict) -> dict:
    spec = deepcopy(spec)
    spec["TaskTemplate"]["Networks"] = [{"Target": "n1", "Aliases": ["web"]}]
    spec["Mode"] = {"Replicated": {"Replicas": 1}}
    return spec


def test_forced_updates_and_a_pinned_image_are_kept() -> None:
    stack = wanted()
    spec = read_back(stack.services[0])
    spec["TaskTemplate"]["ForceUpdate"] = 3
    spec["TaskTemplate"]["ContainerSpec"]["Image"] = "busybox:latest@sha256:" + "a" * 64
    spec["TaskTemplate"]["Placement"] = {"Platforms": [{"Architecture": "amd64", "OS": "linux"}]}
    assert make_plan(stack, observed(spec), prune=False) == [KeepService("s1", "st_web")]
    spec["Labels"]["other"] = "x"
    (step,) = make_plan(stack, observed(spec), prune=False)
    assert isinstance(step, UpdateService)
    assert step.spec["TaskTemplate"]["ForceUpdate"] == 3
    assert step.spec["TaskTemplate"]["ContainerSpec"]["Image"].startswith("busybox:latest@sha256:")


def test_a_platform_of_the_file_wins_over_that_of_the_pinned_image() -> None:
    (spec,) = wanted().services
    spec["TaskTemplate"]["Placement"] = {"Platforms": [{"Architecture": "arm64", "OS": "linux"}]}
    running = read_back(spec)
    running["TaskTemplate"]["ContainerSpec"]["Image"] = "busybox:latest@sha256:" + "a" * 64
    running["TaskTemplate"]["Placement"] = {"Platforms": [{"Architecture": "amd64"}]}
    stack = StackSpec("st", wanted().networks, (), (spec,))
    (step,) = make_plan(stack, observed(running), prune=False)
    assert isinstance(step, UpdateService)
    assert step.spec["TaskTemplate"]["Placement"] == spec["TaskTemplate"]["Placement"]


def test_services_that_the_file_lost_are_removed_only_when_asked() -> None:
    stack = wanted()
    seen = observed(read_back(stack.services[0]))
    old = {"ID": "s2", "Version": {"Index": 1}, "Spec": {"Name": "st_old"}}
    seen = Observed({**seen.services, "st_old": old}, seen.network_ids)
    assert make_plan(stack, seen, prune=False) == [KeepService("s1", "st_web")]
    assert make_plan(stack, seen, prune=True)[1:] == [RemoveService("s2", "st_old")]


def test_init_false_differs_from_init_unsaid() -> None:
    said = {"TaskTemplate": {"ContainerSpec": {"Init": False}}}
    unsaid = {"TaskTemplate": {"ContainerSpec": {}}}
    assert comparable(said, {}) != comparable(unsaid, {})
