"""The steps from what is to what should be."""

from copy import deepcopy

import pytest

from stack.deploy.plan import (
    CreateFile,
    CreateNetwork,
    CreateService,
    KeepService,
    Observed,
    RemoveService,
    UpdateFile,
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


FILES = """
services:
  web: {image: busybox, secrets: [pass], configs: [conf]}
secrets: {pass: {environment: PASS, labels: {a: b}}}
configs: {conf: {content: text}}
"""


def with_files(**changes) -> tuple[StackSpec, Observed]:
    """The stack, and a cluster that has its files but for the changes to them."""
    stack = stack_spec(load_texts(FILES, stack="st", environment={"PASS": "x"}).compose)
    (secret,), (config,) = stack.secrets, stack.configs
    shown = {name: value for name, value in secret.items() if name != "Data"}
    return stack, Observed(
        {},
        {"st_default": "n1"},
        secrets={"st_pass": {"ID": "s1", "Version": {"Index": 1}, "Spec": shown}},
        configs={"st_conf": {"ID": "c1", "Version": {"Index": 1}, "Spec": {**config, **changes}}},
    )


def test_files_come_after_networks_and_before_services() -> None:
    stack, _ = with_files()
    assert [type(step) for step in make_plan(stack, Observed({}, {}), prune=False)] == [
        CreateNetwork,
        CreateFile,
        CreateFile,
        CreateService,
    ]


def test_only_a_secret_is_sent_again_because_its_data_is_not_shown() -> None:
    stack, seen = with_files()
    step, created = make_plan(stack, seen, prune=False)
    assert isinstance(step, UpdateFile)
    assert (step.kind, step.has_other_labels) == ("secret", False)
    assert isinstance(created, CreateService)


@pytest.mark.parametrize(
    ("changes", "has_other_labels"), [({"Data": "b3RoZXI="}, False), ({"Labels": {}}, True)]
)
def test_a_config_is_sent_when_it_differs(changes: dict, has_other_labels: bool) -> None:
    stack, seen = with_files(**changes)
    _, step, _ = make_plan(stack, seen, prune=False)
    assert isinstance(step, UpdateFile)
    assert (step.kind, step.has_other_labels) == ("config", has_other_labels)


def test_references_with_and_without_ids_are_equal() -> None:
    stack, _ = with_files()
    (spec,) = stack.services
    stored = deepcopy(spec)
    stored["TaskTemplate"]["ContainerSpec"]["Secrets"][0]["SecretID"] = "s1"
    stored["TaskTemplate"]["ContainerSpec"]["Configs"][0]["ConfigID"] = "c1"
    assert comparable(stored, {}) == comparable(spec, {})
    stored["TaskTemplate"]["ContainerSpec"]["Secrets"][0]["File"]["Mode"] = 0o400
    assert comparable(stored, {}) != comparable(spec, {})


@pytest.mark.parametrize("deploy", ["mode: replicated-job", "mode: replicated-job, replicas: 0", "mode: global-job"])  # fmt: skip
def test_a_job_is_kept_as_it_is_read_back_and_made_anew_when_it_differs(deploy: str) -> None:
    stack = wanted(f"services: {{web: {{image: busybox, deploy: {{{deploy}}}}}}}")
    spec = deepcopy(stack.services[0])
    spec["TaskTemplate"]["Networks"] = [{"Target": "n1", "Aliases": ["web"]}]
    if spec["Mode"] == {"ReplicatedJob": {}}:
        spec["Mode"] = {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}
    assert make_plan(stack, observed(spec), prune=False) == [KeepService("s1", "st_web")]
    other = wanted("services: {web: {image: busybox, deploy: {mode: replicated-job, replicas: 7}}}")
    (step,) = make_plan(other, observed(spec), prune=False)
    assert isinstance(step, UpdateService)
