"""Deployments that are to succeed as a whole, while leaders die: all of it holds, or all goes back."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from cluster.api.commands.stacks import deploy_stack, find_revision
from cluster.api.payloads.stacks import Deployment, WantedService, Watch
from cluster.errors import InvalidArgument
from cluster.model.endpoint import PortConfig
from cluster.model.ids import ServiceId
from cluster.model.network import Network, NetworkSpec
from cluster.model.node import NETWORK_PLUGIN, Node
from cluster.model.secret import SecretSpec
from cluster.model.service import ServiceSpec
from cluster.model.stack import NAMESPACE_LABEL, Rollout
from cluster.model.units import SECOND_NS
from cluster.model.update_policy import RestartPolicy, UpdateConfig
from cluster.store.transaction import Transaction
from tests.support.builders import make_cluster, make_network, make_node, make_service
from tests.support.cluster_model import Behaviour, ClusterModel

LABELS = {NAMESPACE_LABEL: "shop"}
TIMEOUT_S, STABLE_S = 60, 5
BEHAVIOURS = {
    "crashing": Behaviour(crash_after_s=0.5),
    "missing": Behaviour(is_missing=True),
    "slow": Behaviour(prepare_s=200),
    "late": Behaviour(crash_after_s=7),
    "once": Behaviour(finish_after_s=2),
}
GOOD = ("good:1", "good:2", "good:3", "once")
BAD = ("crashing", "missing", "slow", "unplaceable")
NAMES = ("shop_a", "shop_b", "shop_c")
INGRESS = make_network("ingress", subnet="10.255.0.0/16", is_ingress=True)


class Stack:
    """A cluster of two nodes, and one stack on it."""

    def __init__(self, *more: Network) -> None:
        self.model = ClusterModel(
            make_cluster(), *more, node("n1"), node("n2"), behaviours=BEHAVIOURS
        )

    def deploy(
        self,
        images: dict[str, str],
        published: str = "",
        surplus: tuple[str, ...] = (),
        **more: Any,
    ) -> None:
        model = self.model
        services, networks = model.state.services, model.state.networks
        watch = Watch(
            timeout_ns=TIMEOUT_S * SECOND_NS,
            stable_ns=STABLE_S * SECOND_NS,
            surplus_services=tuple(one.id for one in services if one.spec.name in surplus),
            surplus_networks=tuple(one.id for one in networks if one.spec.name in surplus),
        )
        wanted = []
        for name, image in images.items():
            known = model.state.service_by_name(name)
            wanted.append(
                WantedService(
                    service_id=known.id if known else "",
                    version=known.meta.version if known else 0,
                    spec=spec(name, image, ports=(8080,) if name == published else ()),
                )
            )
        tx = Transaction(model.state, model.now)
        deployment = Deployment(services=tuple(wanted), atomic=watch, **more)
        deploy_stack(tx, "shop", deployment, model.new_id)
        model._commit(tx)
        model.settle()

    @property
    def rollout(self) -> Rollout:
        stack = self.model.state.stack_by_name("shop")
        assert stack is not None
        assert stack.rollout is not None
        return stack.rollout

    def images(self) -> dict[str, str]:
        return {one.spec.name: image_of(one.spec) for one in self.model.state.services}

    def id_of(self, name: str) -> str:
        found = self.model.state.service_by_name(name)
        assert found is not None
        return found.id

    def numbers_and_notes(self) -> list[tuple[int, str]]:
        return [(one.number, one.message) for one in self.model.state.revisions_of("shop")]

    def ports_of(self, name: str) -> tuple[PortConfig, ...]:
        found = self.model.state.service_by_name(name)
        assert found is not None
        return found.endpoint.ports

    def wait(self, rng: random.Random) -> None:
        """Let time pass until the deployment is decided, with new leaders now and then."""
        self.go_on(rng, lambda: not self.rollout.is_pending)

    def go_on(self, rng: random.Random, is_done: Callable[[], bool]) -> None:
        """Let time pass until something is so, with new leaders now and then."""
        for _ in range(200):
            if is_done():
                return
            if rng.random() < 0.3:
                self.model.run_leaderless_for(rng.uniform(0, 4))
            self.model.run_for(rng.uniform(0, 5))
        raise AssertionError(f"not so far: {self.rollout}")

    def all_run(self) -> bool:
        model = self.model
        return all(
            image_of(one.spec) == "once" or len(model.running(one.id)) == one.spec.replicas
            for one in model.state.services
        )


def node(name: str) -> Node:
    made = make_node(name)
    assert made.description is not None
    engine = replace(made.description.engine, plugins=(NETWORK_PLUGIN,))
    return replace(made, description=replace(made.description, engine=engine))


def spec(name: str, image: str, ports: tuple[int, ...] = ()) -> ServiceSpec:
    made = make_service(
        name,
        image=image,
        replicas=2,
        constraints=["node.labels.none==x"] if image == "unplaceable" else [],
        update=UpdateConfig(monitor=SECOND_NS, parallelism=0),
        ingress_ports=ports,
    )
    template = made.spec.task_template
    if image == "once":
        template = replace(template, restart_policy=RestartPolicy(condition="none"))
    return replace(made.spec, name=name, labels=LABELS, task_template=template)


def image_of(one: ServiceSpec) -> str:
    assert one.task_template.container_spec is not None
    return one.task_template.container_spec.image


@pytest.mark.parametrize("seed", range(40))
def test_all_of_a_deployment_holds_or_all_goes_back(seed: int) -> None:
    rng = random.Random(seed)
    stack = Stack()
    stack.deploy(dict.fromkeys(NAMES, "good:1"))
    stack.wait(rng)
    assert stack.rollout.state == "held"
    good = stack.images()
    for _ in range(4):
        changed = rng.sample(NAMES, rng.randint(1, 3))
        images = {name: rng.choice(GOOD if rng.random() < 0.7 else BAD) for name in changed}
        stack.deploy(images)
        if rng.random() < 0.3:  # somebody deploys again before it is decided
            stack.model.run_for(rng.uniform(0, 3))
            again = {name: rng.choice(GOOD) for name in changed}
            stack.deploy(again)
            images = again
        stack.wait(rng)
        is_bad = bool(set(images.values()) & set(BAD))
        wanted = good if is_bad else {**good, **images}
        assert stack.rollout.state == ("back" if is_bad else "held"), stack.rollout
        assert stack.images() == wanted
        assert stack.all_run()
        good = wanted


@pytest.mark.parametrize("seed", range(20))
def test_a_first_deployment_holds_or_leaves_nothing(seed: int) -> None:
    rng = random.Random(seed)
    stack = Stack()
    images = {name: rng.choice((*GOOD, *BAD)) for name in NAMES}
    network = NetworkSpec(name="shop_net", labels=LABELS, driver="overlay")
    secret = SecretSpec(name="shop_pass", labels=LABELS, data=b"x")
    stack.deploy(images, networks=(network,), secrets=(secret,))
    stack.wait(rng)
    state = stack.model.state
    if set(images.values()) & set(BAD):
        assert stack.rollout.state == "back"
        assert not [*state.services, *state.tasks, *state.networks, *state.secrets]
    else:
        assert stack.rollout.state == "held"
        assert stack.images() == images
        assert find_revision(state, "shop", 1).number == 1


@pytest.mark.parametrize(
    ("image", "failure", "reason"),
    [
        ("missing", "failed", "shop_a: a task cannot run: No such image: missing"),
        ("crashing", "failed", "shop_a: a task failed 3 times: task: non-zero exit (1)"),
        ("unplaceable", "unschedulable", "shop_a: no suitable node"),
        ("slow", "timed out", "not running after 60 s; shop_a: 0/2 running"),
    ],
)
def test_the_reason_is_kept(image: str, failure: str, reason: str) -> None:
    stack = Stack()
    stack.deploy({"shop_a": image, "shop_b": "good:1"})
    stack.wait(random.Random(1))
    assert stack.rollout.failure == failure
    assert stack.rollout.reason.startswith(reason)
    last = list(stack.model.state.audit)[-1]
    assert (last.author.name, last.action) == ("the cluster itself", "stack rollback")


def test_a_task_that_fails_late_takes_the_deployment_back() -> None:
    stack = Stack()
    stack.deploy({"shop_a": "good:1"})
    stack.wait(random.Random(1))
    stack.deploy({"shop_a": "late"})
    stack.wait(random.Random(1))
    # it ran for longer than the five seconds that were asked for
    assert stack.rollout.state == "held"


@pytest.mark.parametrize(("former", "later"), [("shop_a", "shop_b"), ("shop_b", "shop_a")])
def test_a_port_that_moved_to_another_service_goes_back_too(former: str, later: str) -> None:
    stack = Stack(INGRESS)
    stack.deploy({former: "good:1", later: "good:1"}, published=former)
    stack.wait(random.Random(1))
    assert stack.all_run()
    stack.deploy({former: "good:2", later: "crashing"}, published=later)
    assert [port.published_port for port in stack.ports_of(later)] == [8080]
    stack.wait(random.Random(1))
    assert stack.rollout.state == "back", stack.rollout
    assert [port.published_port for port in stack.ports_of(former)] == [8080]
    assert not stack.ports_of(later)
    assert stack.all_run()


@pytest.mark.parametrize("image", ["good:2", "crashing"])
def test_a_service_that_gave_way_to_another_comes_back_with_its_port(image: str) -> None:
    stack = Stack(INGRESS)
    stack.deploy({"shop_a": "good:1", "shop_b": "good:1"}, published="shop_a")
    stack.wait(random.Random(1))
    giving_way = (ServiceId(stack.id_of("shop_a")),)
    stack.deploy({"shop_c": image}, published="shop_c", giving_way=giving_way)
    stack.wait(random.Random(1))
    is_bad = image == "crashing"
    assert stack.rollout.state == ("back" if is_bad else "held"), stack.rollout
    holder = "shop_a" if is_bad else "shop_c"
    assert set(stack.images()) == {holder, "shop_b"}
    assert [port.published_port for port in stack.ports_of(holder)] == [8080]
    assert stack.all_run()


NET = NetworkSpec(name="shop_net", labels=LABELS, driver="overlay")


@pytest.mark.parametrize("seed", range(8))
def test_what_is_surplus_goes_when_all_holds_and_stays_when_it_goes_back(seed: int) -> None:
    rng = random.Random(seed)
    stack = Stack()
    stack.deploy(dict.fromkeys(NAMES, "good:1"), networks=(NET,))
    stack.wait(rng)
    before = stack.images()
    image = rng.choice((*GOOD[1:], *BAD))
    stack.deploy({"shop_a": image}, surplus=("shop_b", "shop_c", "shop_net"))
    assert stack.images() == {**before, "shop_a": image}, "nothing goes before it is decided"
    stack.wait(rng)
    if image in BAD:
        assert stack.images() == before
        assert stack.model.state.network_by_name("shop_net") is not None
        assert stack.numbers_and_notes()[-1][1] == "back to 1, as 2 failed"
        return
    assert stack.images() == {"shop_a": image}
    stack.go_on(rng, lambda: not stack.rollout.is_pruning)
    assert stack.model.state.network_by_name("shop_net") is None
    assert stack.numbers_and_notes() == [(1, ""), (2, ""), (3, "pruned")]
    pruned = [one for one in stack.model.state.audit if one.action == "stack prune"]
    assert {one.author.name for one in pruned} == {"the cluster itself"}


def test_a_surplus_service_that_cannot_run_is_no_reason_to_go_back() -> None:
    stack = Stack()
    stack.deploy({"shop_a": "good:1", "shop_b": "good:1"})
    stack.wait(random.Random(1))
    stack.model.change_image(stack.id_of("shop_b"), "missing")
    stack.deploy({"shop_a": "good:2"}, surplus=("shop_b",))
    stack.wait(random.Random(1))
    assert stack.rollout.state == "held", stack.rollout
    assert stack.images() == {"shop_a": "good:2"}


def test_pruning_alone_waits_for_the_rest_as_well() -> None:
    stack = Stack()
    stack.deploy({"shop_a": "good:1", "shop_b": "good:1"})
    stack.wait(random.Random(1))
    stack.deploy({}, surplus=("shop_b",))
    assert set(stack.images()) == {"shop_a", "shop_b"}
    stack.wait(random.Random(1))
    assert set(stack.images()) == {"shop_a"}


def test_a_network_that_a_service_has_come_to_need_stays() -> None:
    stack = Stack()
    stack.deploy({"shop_a": "good:1"}, networks=(NET,))
    stack.wait(random.Random(1))
    stack.deploy({"shop_a": "good:2"}, surplus=("shop_net",))
    network = stack.model.state.network_by_name("shop_net")
    assert network is not None
    joined = make_service("other", networks=(network.id,))
    stack.model.put(joined)
    stack.wait(random.Random(1))
    assert stack.rollout.state == "held"
    assert not stack.rollout.is_pruning
    assert stack.model.state.network_by_name("shop_net") is not None


@pytest.mark.parametrize(("name", "said"), [("other", "its label says"), ("shop_a", "changed and")])
def test_what_is_not_the_stacks_or_is_deployed_is_not_surplus(name: str, said: str) -> None:
    stack = Stack()
    stack.deploy({"shop_a": "good:1"})
    stack.model.put(make_service("other"))
    with pytest.raises(InvalidArgument, match=said):
        stack.deploy({"shop_a": "good:2"}, surplus=(name,))
