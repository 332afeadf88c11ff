"""What a deploy token sees, and which changes it may make."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from cluster.api.commands.attached_files import create_secret, remove_secret
from cluster.api.commands.leases import release_lease, take_lease
from cluster.api.commands.networks import create_network
from cluster.api.commands.rotation import revise_secret
from cluster.api.commands.services import (
    Credentials,
    create_service,
    remove_service,
    roll_back_service,
    update_service,
)
from cluster.api.commands.stacks import deploy_stack, roll_back_stack
from cluster.api.commands.token_scope import check_changes, visible
from cluster.api.payloads.stacks import Deployment, WantedService
from cluster.errors import PermissionDenied
from cluster.model.container import FileTarget, Mount, SecretReference
from cluster.model.ids import NetworkId, SecretId, TokenId
from cluster.model.meta import Meta
from cluster.model.network import NetworkSpec
from cluster.model.registry_login import RegistryAuth
from cluster.model.secret import SecretSpec
from cluster.model.service import NetworkAttachmentConfig, Service, ServiceSpec
from cluster.model.stack import NAMESPACE_LABEL
from cluster.model.token import DeployToken
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction
from tests.support.builders import counting_ids, make_node, make_task, seconds
from tests.support.identities import cluster_object
from tests.unit.cluster.api.commands.transactions import spec

TOKEN = DeployToken(id=TokenId("t"), meta=Meta(), name="ci", digest="", stacks=("shop", "blog-*"))


def labels(stack: str) -> dict[str, str]:
    return {NAMESPACE_LABEL: stack} if stack else {}


def service(name: str, stack: str = "shop") -> ServiceSpec:
    return replace(spec(name), labels=labels(stack))


class Cluster:
    """A cluster with the stacks shop and other; what `as_token` does is judged."""

    def __init__(self) -> None:
        self.state = ClusterState()
        self.new_id = counting_ids("x")
        self(lambda tx: tx.create(make_node("n1")))
        self(lambda tx: tx.create(cluster_object()))
        for stack in ("shop", "other"):
            net = NetworkSpec(name=f"{stack}_net", driver="overlay", labels=labels(stack))
            secret = SecretSpec(name=f"{stack}_pass", data=b"x", labels=labels(stack))
            self(create_network, net, NetworkId(f"{stack}-net"))
            self(create_secret, secret, SecretId(f"{stack}-pass"))
            self(create_service, service(f"{stack}_web", stack), self.new_id)
        self(create_service, service("plain", ""), self.new_id)

    def __call__(self, command: Any, *arguments: Any, **more: Any) -> Any:
        tx = Transaction(self.state, seconds(1000))
        result = command(tx, *arguments, **more)
        self.state = self.state.apply(tx.changes)
        return result

    def as_token(self, command: Any, *arguments: Any, by: DeployToken = TOKEN, **more: Any) -> Any:
        tx = Transaction(self.state, seconds(1000))
        result = command(tx, *arguments, **more)
        check_changes(tx, self.state, by)
        self.state = self.state.apply(tx.changes)
        return result

    def service(self, name: str) -> Service:
        found = self.state.service_by_name(name)
        assert found is not None
        return found

    def refused(self, message: str, command: Any, *arguments: Any, **more: Any) -> None:
        with pytest.raises(PermissionDenied, match=message):
            self.as_token(command, *arguments, **more)

    def update(self, name: str, wanted: ServiceSpec) -> tuple[Any, ...]:
        found = self.service(name)
        return (update_service, found.id, found.meta.version, wanted)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_only_what_is_of_its_stacks_is_seen(cluster: Cluster) -> None:
    for name in ("shop_web", "other_web"):
        task = make_task(f"task-{name}", cluster.service(name), node="n1")
        cluster(lambda tx, task=task: tx.create(task))
    for stack in ("shop", "other"):
        cluster(take_lease, stack, holder="a", token="", seconds=9, new_id=cluster.new_id)
    seen = visible(cluster.state, TOKEN)
    assert [one.spec.name for one in seen.services] == ["shop_web"]
    assert [one.spec.name for one in seen.secrets] == ["shop_pass"]
    assert [one.spec.name for one in seen.networks] == ["shop_net"]
    assert [one.id for one in seen.tasks] == ["task-shop_web"]
    assert [one.name for one in seen.stacks] == ["shop"]
    assert [one.id for one in seen.nodes] == ["n1"]
    assert (seen.cluster, len(seen.tokens)) == (None, 0)
    assert seen.revision == cluster.state.revision
    granted = visible(cluster.state, replace(TOKEN, networks=("other_net",)))
    assert {one.spec.name for one in granted.networks} == {"shop_net", "other_net"}


def test_its_own_stack_is_deployed_changed_and_removed(cluster: Cluster) -> None:
    made = Deployment(
        secrets=(SecretSpec(name="blog-eu_pass", data=b"x", labels=labels("blog-eu")),),
        networks=(NetworkSpec(name="blog-eu_n", driver="overlay", labels=labels("blog-eu")),),
        services=(WantedService(spec=service("blog-eu_web", "blog-eu")),),
    )
    cluster.as_token(deploy_stack, "blog-eu", made, cluster.new_id)
    changed = replace(service("shop_web"), labels={**labels("shop"), "a": "b"})
    cluster.as_token(*cluster.update("shop_web", changed))
    web = cluster.service("shop_web")
    cluster.as_token(roll_back_service, web.id, web.meta.version)
    lease = cluster.as_token(
        take_lease, "shop", holder="a", token="", seconds=9, new_id=cluster.new_id
    )
    cluster.as_token(release_lease, "shop", lease.token)
    cluster.as_token(remove_service, "shop_web")
    cluster.as_token(remove_secret, "shop_pass")


def test_what_is_of_others_is_not_touched(cluster: Cluster) -> None:
    who = "deploy token ci may only deploy shop, blog-\\*, and may not "
    new_id = cluster.new_id
    cluster.refused(
        who + "make or change service other_web of stack other", remove_service, "other_web"
    )
    cluster.refused("service plain of no stack", remove_service, "plain")
    cluster.refused("secret other_pass", remove_secret, "other_pass")
    cluster.refused("service x of no stack", create_service, service("x", ""), new_id)
    cluster.refused("of stack other", create_service, service("shop_x", "other"), new_id)
    cluster.refused("begin with shop_", create_service, service("x", "shop"), new_id)
    cluster.refused("begin with shop_", create_service, service("other_x", "shop"), new_id)
    # a service does not change hands, in neither direction
    cluster.refused("other_web", *cluster.update("other_web", service("other_web", "shop")))
    cluster.refused("of stack other", *cluster.update("shop_web", service("shop_web", "other")))
    cluster.refused(
        "deploy stack other",
        take_lease, "other", holder="a", token="", seconds=9, new_id=new_id,
    )  # fmt: skip
    web = cluster.service("other_web")
    disguised = WantedService(
        service_id=web.id, version=web.meta.version, spec=service("other_web", "shop")
    )
    cluster.refused("other_web", deploy_stack, "shop", Deployment(services=(disguised,)), new_id)
    held = cluster.state.cluster
    assert held is not None
    wanted = replace(held, spec=replace(held.spec, labels={"a": "b"}))
    cluster.refused("change a cluster", lambda tx: tx.update(wanted))
    node = cluster.state.nodes.get("n1")
    assert node is not None
    drained = replace(node, spec=replace(node.spec, availability="drain"))
    cluster.refused("change a node", lambda tx: tx.update(drained))
    cluster.refused("change a deploytoken", lambda tx: tx.create(TOKEN))


def test_nothing_of_other_stacks_is_used(cluster: Cluster) -> None:
    plain = service("shop_web")
    container = plain.task_template.container_spec
    assert container is not None

    def with_container(**members: Any) -> ServiceSpec:
        template = replace(plain.task_template, container_spec=replace(container, **members))
        return replace(plain, task_template=template)

    def with_network(target: str) -> ServiceSpec:
        networks = (NetworkAttachmentConfig(target=target),)
        return replace(plain, task_template=replace(plain.task_template, networks=networks))

    target = FileTarget(name="p", uid="0", gid="0", mode=0o444)
    for stack in ("shop", "other"):
        reference = SecretReference(
            file=target, secret_id=f"{stack}-pass", secret_name=f"{stack}_pass"
        )
        request = cluster.update("shop_web", with_container(secrets=(reference,)))
        if stack == "shop":
            cluster.as_token(*request)
        else:
            cluster.refused("give secret other_pass to service shop_web", *request)
    cluster.as_token(*cluster.update("shop_web", with_network("shop_net")))
    cluster.refused("network other_net", *cluster.update("shop_web", with_network("other_net")))
    granted = replace(TOKEN, networks=("other_net",))
    cluster.as_token(*cluster.update("shop_web", with_network("other_net")), by=granted)


def test_a_volume_that_may_be_another_stacks_is_not_mounted(cluster: Cluster) -> None:
    cluster(create_service, service("shop_x_web", "shop_x"), cluster.new_id)
    plain = service("shop_web")
    container = plain.task_template.container_spec
    assert container is not None

    def mounting(source: str) -> ServiceSpec:
        mounts = (Mount(type="volume", source=source, target="/d"),)
        template = replace(plain.task_template, container_spec=replace(container, mounts=mounts))
        return replace(plain, task_template=template)

    cluster.refused("it is of stack shop_x", *cluster.update("shop_web", mounting("shop_x_data")))
    cluster.as_token(*cluster.update("shop_web", mounting("shop_y_data")))
    cluster.refused("--allow volumes", *cluster.update("shop_web", mounting("data")))


def test_rights_that_an_administrator_gave_are_not_taken_over(cluster: Cluster) -> None:
    plain = service("shop_web")
    container = plain.task_template.container_spec
    assert container is not None
    mounts = (Mount(type="bind", source="/", target="/host"),)
    template = replace(plain.task_template, container_spec=replace(container, mounts=mounts))
    cluster(*cluster.update("shop_web", replace(plain, task_template=template)))
    other_image = replace(template, container_spec=replace(container, image="mine", mounts=mounts))
    cluster.refused(
        "--allow host-binds",
        *cluster.update("shop_web", replace(plain, task_template=other_image)),
    )
    cluster(*cluster.update("shop_web", plain))
    web = cluster.service("shop_web")
    cluster.refused("--allow host-binds", roll_back_service, web.id, web.meta.version)
    cluster.as_token(remove_service, "shop_web")


def test_networks_are_plain_overlays(cluster: Cluster) -> None:
    for wrong in (
        NetworkSpec(name="shop_in", driver="overlay", ingress=True, labels=labels("shop")),
        NetworkSpec(name="shop_mv", driver="macvlan", labels=labels("shop")),
    ):
        cluster.refused("plain overlay network", create_network, wrong, NetworkId("n"))


def test_rotating_does_not_reach_into_other_stacks(cluster: Cluster) -> None:
    guest = service("other_guest", "other")
    container = guest.task_template.container_spec
    assert container is not None
    reference = SecretReference(
        file=FileTarget(name="p", uid="0", gid="0", mode=0o444),
        secret_id="shop-pass", secret_name="shop_pass",
    )  # fmt: skip
    template = replace(guest.task_template, container_spec=replace(container, secrets=(reference,)))
    cluster(create_service, replace(guest, task_template=template), cluster.new_id)
    [secret] = cluster.state.secrets.find("name", "shop_pass")
    change = SecretSpec(name="shop_pass", data=b"y", labels=labels("shop"))
    cluster.refused(
        "other_guest",
        revise_secret, secret.id, secret.meta.version, change, cluster.new_id,
    )  # fmt: skip


def at(registry: str) -> ServiceSpec:
    plain = service("shop_web")
    container = plain.task_template.container_spec
    assert container is not None
    container = replace(container, image=f"{registry}/web:1")
    return replace(plain, task_template=replace(plain.task_template, container_spec=container))


def test_a_stored_login_is_not_sent_to_another_registry(cluster: Cluster) -> None:
    theirs = Credentials(given=RegistryAuth(encoded="theirs"), is_given=True)
    mine = Credentials(given=RegistryAuth(encoded="mine"), is_given=True)
    third = Credentials(given=RegistryAuth(encoded="third"), is_given=True)
    before = Credentials(from_previous_spec=True)
    cluster(*cluster.update("shop_web", at("good.example")), theirs)
    cluster.as_token(*cluster.update("shop_web", at("good.example:443")), mine)
    cluster(*cluster.update("shop_web", at("good.example")), theirs)
    message = "stored registry login of service shop_web for evil.example"
    cluster.refused(message, *cluster.update("shop_web", at("evil.example")))
    cluster.as_token(*cluster.update("shop_web", at("evil.example")), third)
    cluster.refused(message, *cluster.update("shop_web", at("evil.example/x")), before)
    web = cluster.service("shop_web")
    cluster.as_token(roll_back_service, web.id, web.meta.version)
    kept = cluster.service("shop_web").registry_auth
    assert kept == RegistryAuth(encoded="theirs")


def test_a_rollback_of_a_stack_sends_each_login_to_its_own_registry(cluster: Cluster) -> None:
    def deployment(registry: str, login: str) -> Deployment:
        web, auth = cluster.service("shop_web"), RegistryAuth(encoded=login)
        wanted = WantedService(
            service_id=web.id,
            version=web.meta.version,
            spec=at(registry),
            auth=auth,
            is_auth_given=bool(login),
        )
        return Deployment(services=(wanted,))

    back = (roll_back_stack, "shop", 0, cluster.new_id)
    cluster(deploy_stack, "shop", deployment("good.example", "theirs"), cluster.new_id)
    cluster.as_token(deploy_stack, "shop", deployment("other.example", "mine"), cluster.new_id)
    cluster.as_token(*back, author="ci", lease="")
    web = cluster.service("shop_web")
    assert web.spec == cluster.state.revisions_of("shop")[-1].services[0]
    assert web.registry_auth == RegistryAuth(encoded="theirs")
    cluster.as_token(*back, author="ci", lease="")
    assert cluster.service("shop_web").registry_auth == RegistryAuth(encoded="mine")
    refused = (deploy_stack, "shop", deployment("evil.example", ""), cluster.new_id)
    cluster.refused("stored registry login of service shop_web for evil.example", *refused)
