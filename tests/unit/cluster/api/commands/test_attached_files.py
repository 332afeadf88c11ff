from __future__ import annotations

from typing import Any

import pytest

from cluster.api.commands.attached_files import (
    create_config,
    create_secret,
    remove_config,
    remove_secret,
    update_config,
    update_secret,
)
from cluster.api.commands.services import create_service, roll_back_service, update_service
from cluster.errors import AlreadyExists, InvalidArgument, NotFound, OutOfSequence, Unimplemented
from cluster.model.config import ConfigSpec
from cluster.model.container import (
    ConfigReference,
    ContainerSpec,
    Driver,
    FileTarget,
    RuntimeTarget,
    SecretReference,
)
from cluster.model.ids import ConfigId, SecretId
from cluster.model.secret import SecretSpec
from cluster.model.service import ServiceSpec, TaskSpec
from tests.compat.memory_node import counting_ids
from tests.support.memory_store import MemoryStore

SECRET, CONFIG = SecretId("s" * 25), ConfigId("c" * 25)
BAD_NAME = "invalid name, only 64"


def _store() -> MemoryStore:
    """A store with the secret ``pass`` and the config ``conf``."""
    store = MemoryStore()
    secret, config = SecretSpec(name="pass", data=b"x"), ConfigSpec(name="conf", data=b"y")
    store.commit(lambda tx: create_secret(tx, secret, SECRET))
    store.commit(lambda tx: create_config(tx, config, CONFIG))
    return store


def _with(**members: Any) -> ServiceSpec:
    container = ContainerSpec(image="busybox", **members)
    return ServiceSpec(name="web", task_template=TaskSpec(container_spec=container))


def _secret(name: str = "pass", secret_id: str = SECRET, path: str = "pass") -> SecretReference:
    target = FileTarget(name=path, uid="0", gid="0", mode=0o444)
    return SecretReference(file=target, secret_id=secret_id, secret_name=name)


def _config(name: str = "conf", config_id: str = CONFIG, path: str = "/conf") -> ConfigReference:
    target = FileTarget(name=path, uid="0", gid="0", mode=0o444)
    return ConfigReference(file=target, config_id=config_id, config_name=name)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (SecretSpec(data=b"x"), "name must be provided"),
        (SecretSpec(name="bad name!", data=b"x"), BAD_NAME),
        (SecretSpec(name="-a", data=b"x"), BAD_NAME),
        (SecretSpec(name="a" * 65, data=b"x"), BAD_NAME),
        (SecretSpec(name="a"), "secret data must be larger than 0 and less than 512000 bytes"),
        (SecretSpec(name="a", data=b"x" * 512_000), "less than 512000 bytes"),
        (SecretSpec(name="a", data=b"x", templating=Driver(name="jinja")), "'jinja' is unknown"),
    ],
)
def test_a_wrong_secret_is_refused(spec: SecretSpec, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        MemoryStore().commit(lambda tx: create_secret(tx, spec, SECRET))


def test_sizes_up_to_the_limit_are_taken() -> None:
    store = MemoryStore()
    secret = SecretSpec(name="a" * 64, data=b"x" * 511_999)
    config = ConfigSpec(name="a.b-c_d", data=b"x" * 1_023_999)
    store.commit(lambda tx: create_secret(tx, secret, SECRET))
    store.commit(lambda tx: create_config(tx, config, CONFIG))
    big = ConfigSpec(name="big", data=b"x" * 1_024_000)
    with pytest.raises(InvalidArgument, match="config data must be larger than 0 and less than 1"):
        store.commit(lambda tx: create_config(tx, big, ConfigId("d")))


def test_secrets_of_plugins_are_refused() -> None:
    spec = SecretSpec(name="a", driver=Driver(name="vault"))
    with pytest.raises(Unimplemented, match="Driver: secrets of plugins"):
        MemoryStore().commit(lambda tx: create_secret(tx, spec, SECRET))


def test_names_are_taken_within_their_kind() -> None:
    store = _store()
    with pytest.raises(AlreadyExists, match="secret Pass already exists"):
        store.commit(lambda tx: create_secret(tx, SecretSpec(name="Pass", data=b"z"), SecretId("")))
    with pytest.raises(AlreadyExists, match="config conf already exists"):
        store.commit(lambda tx: create_config(tx, ConfigSpec(name="conf", data=b"z"), ConfigId("")))
    store.commit(lambda tx: create_config(tx, ConfigSpec(name="pass", data=b"z"), ConfigId("d")))


def test_only_labels_change() -> None:
    store = _store()
    before = store.view().secret(SECRET)
    assert before is not None
    version = before.meta.version
    for wrong in (SecretSpec(name="pass", data=b"other"), SecretSpec(name="other")):
        with pytest.raises(InvalidArgument, match="only updates to Labels are allowed"):
            store.commit(lambda tx, spec=wrong: update_secret(tx, "pass", version, spec))
    labelled = SecretSpec(name="pass", labels={"a": "b"})
    store.commit(lambda tx: update_secret(tx, "pass", version, labelled))
    after = store.view().secret(SECRET)
    assert after is not None
    assert (after.spec.labels, after.spec.data) == ({"a": "b"}, b"x")
    with pytest.raises(OutOfSequence, match="update out of sequence"):
        store.commit(lambda tx: update_secret(tx, "pass", version, SecretSpec(name="pass")))


def test_a_config_keeps_its_data_too() -> None:
    store = _store()
    config = store.view().config(CONFIG)
    assert config is not None
    version = config.meta.version
    same = ConfigSpec(name="conf", data=b"y", labels={"a": "b"})
    store.commit(lambda tx: update_config(tx, CONFIG, version, same))
    with pytest.raises(InvalidArgument, match="only updates to Labels"):
        store.commit(
            lambda tx: update_config(tx, CONFIG, version, ConfigSpec(name="conf", data=b"z"))
        )


def test_what_a_service_uses_stays() -> None:
    store = _store()
    spec = _with(secrets=(_secret(),), configs=(_config(),))
    store.commit(lambda tx: create_service(tx, spec, counting_ids()))
    with pytest.raises(
        InvalidArgument, match="secret 'pass' is in use by the following service: web"
    ):
        store.commit(lambda tx: remove_secret(tx, "pass"))
    with pytest.raises(
        InvalidArgument, match="config 'conf' is in use by the following service: web"
    ):
        store.commit(lambda tx: remove_config(tx, CONFIG[:5]))


def test_what_nobody_uses_goes() -> None:
    store = _store()
    store.commit(lambda tx: remove_secret(tx, "pass"))
    store.commit(lambda tx: remove_config(tx, "conf"))
    with pytest.raises(NotFound, match="secret pass not found"):
        store.commit(lambda tx: remove_secret(tx, "pass"))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"secrets": (_secret("nope"),)}, "secret not found: nope"),
        ({"secrets": (_secret(secret_id="nope"),)}, "secret not found: pass"),
        (
            {"secrets": (_secret("a", "a", "a"), _secret("b", "b", "b"))},
            "secrets not found: a, b",
        ),
        ({"configs": (_config("nope"),)}, "config not found: nope"),
        ({"secrets": (_secret(secret_id=""),)}, r"Secrets\[0\]: malformed secret reference"),
        ({"configs": (_config(""),)}, r"Configs\[0\]: malformed config reference"),
        (
            {"secrets": (SecretReference(secret_id=SECRET, secret_name="pass"),)},
            r"Secrets\[0\].File: malformed secret reference: no file target provided",
        ),
        (
            {"secrets": (_secret(), _secret())},
            "secret references 'pass' and 'pass' have a conflicting target: 'pass'",
        ),
        (
            {
                "secrets": (
                    SecretReference(
                        secret_id=SECRET, secret_name="pass", file=FileTarget(name="a", uid="root")
                    ),
                )
            },
            r"Secrets\[0\].File.UID: 'root' is not a number",
        ),
    ],
)
def test_a_wrong_reference_is_refused(members: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        _store().commit(lambda tx: create_service(tx, _with(**members), counting_ids()))


def test_configs_for_the_runtime_are_refused() -> None:
    reference = ConfigReference(config_id=CONFIG, config_name="conf", runtime=RuntimeTarget())
    with pytest.raises(Unimplemented, match=r"Configs\[0\].Runtime"):
        _store().commit(lambda tx: create_service(tx, _with(configs=(reference,)), counting_ids()))


def test_no_way_back_to_a_secret_that_is_gone() -> None:
    store = _store()
    store.commit(lambda tx: create_service(tx, _with(secrets=(_secret(),)), counting_ids()))
    service = store.view().service_by_name("web")
    assert service is not None
    version = service.meta.version
    store.commit(lambda tx: update_service(tx, "web", version, _with()))
    store.commit(lambda tx: remove_secret(tx, "pass"))
    service = store.view().service_by_name("web")
    assert service is not None
    newer = service.meta.version
    with pytest.raises(InvalidArgument, match="secret not found: pass"):
        store.commit(lambda tx: roll_back_service(tx, "web", newer))


def test_data_is_not_in_the_representation() -> None:
    assert "hush" not in repr(SecretSpec(name="a", data=b"hush"))
    assert "hush" not in repr(ConfigSpec(name="a", data=b"hush"))
