"""Secrets and configs of a stack rotate by an update, as the stock client sends it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from cluster.api.commands.attached_files import create_config, create_secret
from cluster.api.commands.rotation import revise_config, revise_secret
from cluster.api.commands.services import create_service, roll_back_service, update_service
from cluster.api.commands.stacks import deploy_stack, roll_back_stack
from cluster.api.commands.versions import digest_of, versioned_name, with_digest
from cluster.api.payloads.stacks import Deployment, WantedService
from cluster.errors import InvalidArgument, OutOfSequence
from cluster.model.config import Config, ConfigSpec
from cluster.model.container import ConfigReference, Driver, FileTarget, SecretReference
from cluster.model.ids import ConfigId, SecretId
from cluster.model.meta import Meta
from cluster.model.objects import StoredObject
from cluster.model.secret import Secret, SecretSpec
from cluster.model.service import Service, ServiceSpec
from cluster.model.stack import CONTENT_LABEL, NAMESPACE_LABEL, VERSION_LABEL
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction
from tests.support.builders import counting_ids, seconds
from tests.unit.cluster.api.commands.transactions import spec

LABELS = {NAMESPACE_LABEL: "shop"}


def wanted(data: bytes, name: str = "shop_pass", **more: Any) -> SecretSpec:
    return SecretSpec(name=name, data=data, labels=LABELS, **more)


def version_name(data: bytes) -> str:
    return versioned_name("shop_pass", digest_of(wanted(data)))


class Cluster:
    """A state, and what the stock client sends to it."""

    def __init__(self) -> None:
        self.state = ClusterState()
        self.new_id = counting_ids("x")

    def __call__(self, command: Any, *arguments: Any, **more: Any) -> Any:
        tx = Transaction(self.state, seconds(1000))
        result = command(tx, *arguments, **more)
        self.state = self.state.apply(tx.changes)
        return result

    def create(self, data: bytes, name: str = "shop_pass") -> None:
        made = with_digest(wanted(data, name))
        self(create_secret, made, SecretId(self.new_id()))

    def update(self, data: bytes, **more: Any) -> None:
        secret = self.secret()
        version = secret.meta.version
        self(revise_secret, secret.id, version, wanted(data, **more), self.new_id)

    def secret(self, name: str = "shop_pass") -> Secret:
        [found] = self.state.secrets.find("name", name)
        return found

    def names(self) -> set[str]:
        return {one.spec.name for one in self.state.secrets}

    def service(self, name: str) -> Service:
        found = self.state.service_by_name(name)
        assert found is not None
        return found

    def put(self, name: str, *, uses: str = "", stack: str = "shop") -> ServiceSpec:
        """Make a service, or change it to use the secret that now has a name."""
        made = replace(spec(name), labels={NAMESPACE_LABEL: stack} if stack else {})
        if uses:
            made = using(made, self.secret(uses))
        present = self.state.service_by_name(name)
        if present is None:
            self(create_service, made, self.new_id)
        else:
            self(update_service, present.id, present.meta.version, made)
        return made

    def content(self, name: str) -> bytes:
        container = self.service(name).spec.task_template.container_spec
        assert container is not None
        [reference] = container.secrets
        secret = self.state.secret(SecretId(reference.secret_id))
        assert secret is not None
        return secret.spec.data


def using(service: ServiceSpec, secret: Secret) -> ServiceSpec:
    reference = SecretReference(
        file=FileTarget(name="pass", uid="0", gid="0", mode=0o444),
        secret_id=secret.id,
        secret_name=secret.spec.name,
    )
    container = service.task_template.container_spec
    assert container is not None
    template = replace(
        service.task_template, container_spec=replace(container, secrets=(reference,))
    )
    return replace(service, task_template=template)


@pytest.fixture
def cluster() -> Cluster:
    """A stack whose service ``shop_web`` uses ``shop_pass`` and ``shop_api`` does not."""
    made = Cluster()
    made.create(b"1")
    made.put("shop_web", uses="shop_pass")
    made.put("shop_api")
    return made


def test_a_changed_content_is_a_new_object_under_the_old_name(cluster: Cluster) -> None:
    first = cluster.secret()
    api = cluster.service("shop_api")
    cluster.update(b"2")
    assert cluster.names() == {"shop_pass", version_name(b"1")}
    assert cluster.secret().id != first.id
    old = cluster.state.secret(first.id)
    assert old is not None
    assert (old.spec.data, old.spec.name) == (b"1", version_name(b"1"))
    assert (old.spec.labels or {})[VERSION_LABEL] == "shop_pass"
    assert cluster.content("shop_web") == b"2"
    assert cluster.service("shop_api") == api


def test_what_the_client_then_sends_changes_nothing(cluster: Cluster) -> None:
    cluster.update(b"2")
    before = cluster.state
    cluster.put("shop_web", uses="shop_pass")
    cluster.update(b"2")
    assert [_undated(item) for item in cluster.state.everything()] == [
        _undated(item) for item in before.everything()
    ]


def _undated(item: StoredObject) -> StoredObject:
    """The object without its version, which every write moves."""
    return replace(item, meta=Meta())


def test_the_content_of_before_takes_its_name_back(cluster: Cluster) -> None:
    first = cluster.secret().id
    cluster.update(b"2")
    cluster.update(b"1")
    assert cluster.secret().id == first
    assert cluster.content("shop_web") == b"1"
    assert cluster.names() == {"shop_pass", version_name(b"2")}


def test_versions_that_nothing_returns_to_go(cluster: Cluster) -> None:
    for content in (b"2", b"3", b"4"):
        cluster.update(content)
    assert cluster.names() == {"shop_pass", version_name(b"3")}
    service = cluster.service("shop_web")
    cluster(roll_back_service, service.id, service.meta.version)
    assert cluster.content("shop_web") == b"3"


def test_versions_of_kept_revisions_stay_and_can_be_returned_to(cluster: Cluster) -> None:
    service = cluster.service("shop_web")
    same = WantedService(service_id=service.id, version=service.meta.version, spec=service.spec)
    cluster(deploy_stack, "shop", Deployment(services=(same,)), cluster.new_id)
    for content in (b"2", b"3", b"4"):
        cluster.update(content)
    assert cluster.names() == {"shop_pass", version_name(b"3"), version_name(b"1")}
    cluster(roll_back_stack, "shop", 1, cluster.new_id, author="me", lease="")
    assert cluster.content("shop_web") == b"1"


def test_a_wrong_version_is_refused(cluster: Cluster) -> None:
    secret = cluster.secret()
    with pytest.raises(OutOfSequence):
        cluster(revise_secret, secret.id, 999, wanted(b"2"), cluster.new_id)
    assert cluster.secret() == secret


def test_labels_change_as_before_and_keep_what_tells_of_the_content(cluster: Cluster) -> None:
    secret = cluster.secret()
    change = SecretSpec(name="shop_pass", labels={**LABELS, "a": "b"})
    cluster(revise_secret, secret.id, secret.meta.version, change, cluster.new_id)
    digest = digest_of(wanted(b"1"))
    assert cluster.secret().spec.labels == {**LABELS, "a": "b", CONTENT_LABEL: digest}
    assert cluster.secret().spec.data == b"1"


def test_what_is_no_stacks_or_another_stacks_is_refused(cluster: Cluster) -> None:
    plain = SecretSpec(name="plain", data=b"1")
    cluster(create_secret, plain, SecretId("p"))
    for name, labels in (("plain", None), ("plain", LABELS), ("shop_pass", {})):
        secret = cluster.secret(name)
        other = SecretSpec(name=name, data=b"2", labels=labels)
        with pytest.raises(InvalidArgument, match="only updates to Labels are allowed"):
            cluster(revise_secret, secret.id, secret.meta.version, other, cluster.new_id)


def test_an_older_version_is_not_rotated(cluster: Cluster) -> None:
    cluster.update(b"2")
    old = cluster.secret(version_name(b"1"))
    change = wanted(b"9", old.spec.name)
    with pytest.raises(InvalidArgument, match="is a version of shop_pass; update that"):
        cluster(revise_secret, old.id, old.meta.version, change, cluster.new_id)


def test_a_service_outside_of_the_stack_goes_along_if_it_has_the_newest(cluster: Cluster) -> None:
    cluster.put("guest", uses="shop_pass", stack="")
    cluster.update(b"2")
    cluster.put("pinned", uses=version_name(b"1"), stack="")
    cluster.update(b"3")
    assert (cluster.content("guest"), cluster.content("pinned")) == (b"3", b"1")


def test_versions_that_our_client_made_are_found(cluster: Cluster) -> None:
    digest = digest_of(wanted(b"2"))
    labels = {**LABELS, CONTENT_LABEL: digest, VERSION_LABEL: "shop_pass"}
    made = SecretSpec(name=version_name(b"2"), data=b"2", labels=labels)
    cluster(create_secret, made, SecretId("second"))
    cluster.put("shop_web", uses=version_name(b"2"))
    before = cluster.service("shop_web")
    cluster.update(b"2")
    assert cluster.secret().id == "second"
    assert VERSION_LABEL not in (cluster.secret().spec.labels or {})
    assert cluster.service("shop_web") == before  # it had that content already
    cluster.update(b"3")
    assert cluster.content("shop_web") == b"3"


def test_a_template_is_another_content(cluster: Cluster) -> None:
    cluster.update(b"1", templating=Driver(name="golang"))
    templating = cluster.secret().spec.templating
    assert templating == Driver(name="golang")
    assert cluster.content("shop_web") == b"1"
    assert len(cluster.names()) == 2


def test_configs_rotate_too(cluster: Cluster) -> None:
    first = ConfigSpec(name="shop_conf", data=b"1", labels=LABELS)
    cluster(create_config, first, ConfigId("c"))
    target = FileTarget(name="/conf", uid="0", gid="0", mode=0o444)
    reference = ConfigReference(file=target, config_id="c", config_name="shop_conf")
    made = cluster.put("shop_api")
    container = made.task_template.container_spec
    assert container is not None
    template = replace(made.task_template, container_spec=replace(container, configs=(reference,)))
    service = cluster.service("shop_api")
    cluster(
        update_service,
        service.id,
        service.meta.version,
        replace(made, task_template=template),
    )

    def rotate(data: bytes) -> Config:
        [config] = cluster.state.configs.find("name", "shop_conf")
        change = replace(first, data=data)
        cluster(revise_config, config.id, config.meta.version, change, cluster.new_id)
        [config] = cluster.state.configs.find("name", "shop_conf")
        return config

    second = rotate(b"2")
    container = cluster.service("shop_api").spec.task_template.container_spec
    assert container is not None
    assert [one.config_id for one in container.configs] == [second.id]
    assert second.spec.data == b"2"
    assert rotate(b"1").id == "c"
