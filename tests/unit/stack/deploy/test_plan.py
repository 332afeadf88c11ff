"""The steps from what is to what should be."""

from copy import deepcopy

import msgspec
import pytest

from stack.deploy.plan import (
    CreateFile,
    CreateNetwork,
    CreateService,
    KeepService,
    Observed,
    Remove,
    UpdateFile,
    UpdateService,
    comparable,
    in_order,
    make_plan,
)
from stack.deploy.versions import digest_of, with_versions
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
    assert make_plan(stack, seen, prune=True)[1:] == [Remove("service", "s2", "st_old")]


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
    versioned = with_versions(stack, {}, {})
    (secret,), (config,) = versioned.secrets, versioned.configs
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


def test_files_that_are_there_are_not_sent_again() -> None:
    stack, seen = with_files()
    (created,) = make_plan(stack, seen, prune=False)
    assert isinstance(created, CreateService)


def test_a_config_without_our_label_is_known_by_its_data() -> None:
    stack, seen = with_files(Labels={"a": "b"})
    step, _ = make_plan(stack, seen, prune=False)
    assert isinstance(step, UpdateFile)
    assert step.request["Name"] == "st_conf"


def test_another_content_is_another_version_which_its_users_refer_to() -> None:
    stack, seen = with_files(Data="b3RoZXI=", Labels={})
    created, service = make_plan(stack, seen, prune=True)
    assert isinstance(created, CreateFile)
    name = created.request["Name"]
    assert name.startswith("st_conf-")
    assert created.request["Labels"]["com.stackyard.version-of"] == "st_conf"
    assert isinstance(service, CreateService)
    (reference,) = service.spec["TaskTemplate"]["ContainerSpec"]["Configs"]
    assert reference["ConfigName"] == name
    assert reference["File"]["Name"] == "conf"


def test_names_of_versions_are_never_too_long() -> None:
    key = "a" * 60
    text = FILES.replace("conf:", f"{key}:").replace("[conf]", f"[{key}]")
    stack = stack_spec(load_texts(text, stack="st", environment={"PASS": "x"}).compose)
    there = {"ID": "c", "Version": {"Index": 1}, "Spec": {"Name": f"st_{key}", "Data": "eA=="}}
    versioned = with_versions(stack, {}, {f"st_{key}": there})
    assert len(versioned.configs[0]["Name"]) == 64


def test_digests_differ_by_name_and_content_and_show_neither() -> None:
    stack, _ = with_files()
    (secret,) = stack.secrets
    digests = {
        digest_of(secret),
        digest_of({**secret, "Name": "x"}),
        digest_of({**secret, "Data": "b3RoZXI="}),
    }
    assert len(digests) == 3
    assert digest_of({"Name": "x", "Driver": {"Name": "vault"}}) == ""


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


def test_services_come_after_those_they_depend_on() -> None:
    stack = wanted(
        """
        services:
          web: {image: i, depends_on: [api, cache]}
          api: {image: i, depends_on: {db: {condition: service_healthy}}}
          cache: {image: i}
          db: {image: i}
        """
    )
    names = [spec["Name"] for spec in in_order(stack.services)]
    assert names == ["st_db", "st_api", "st_cache", "st_web"]


def test_a_service_that_was_given_up_runs_again_though_its_file_is_the_same() -> None:
    stack = wanted()
    seen = observed(read_back(stack.services[0]))
    seen = msgspec.structs.replace(seen, given_up=frozenset(("s1",)))
    (step,) = make_plan(stack, seen, prune=False)
    assert isinstance(step, UpdateService)
    assert step.spec["TaskTemplate"]["ForceUpdate"] == 1


def test_a_service_that_was_given_up_is_not_forced_where_its_tasks_are_to_be_others() -> None:
    stack = wanted()
    before = read_back(stack.services[0])
    before["TaskTemplate"]["ContainerSpec"]["Image"] = "nowhere/missing:1"
    seen = msgspec.structs.replace(observed(before), given_up=frozenset(("s1",)))
    (step,) = make_plan(stack, seen, prune=False)
    assert isinstance(step, UpdateService)
    assert step.spec["TaskTemplate"]["ForceUpdate"] == 0


def test_the_order_of_references_and_of_their_members_means_nothing() -> None:
    def spec(*names: str, turned: bool) -> dict:
        files = {"Name": "f", "UID": "0"}
        references = [
            {"File": files, "SecretName": name} if turned else {"SecretName": name, "File": files}
            for name in names
        ]
        return {"Name": "st_web", "TaskTemplate": {"ContainerSpec": {"Secrets": references}}}

    assert comparable(spec("a", "b", turned=True), {}) == comparable(
        spec("b", "a", turned=False), {}
    )
    mixed = spec("a", turned=True)
    mixed["TaskTemplate"]["ContainerSpec"]["Secrets"] += spec("b", turned=False)["TaskTemplate"][
        "ContainerSpec"
    ]["Secrets"]
    assert comparable(mixed, {}) == comparable(spec("a", "b", turned=True), {})
