from __future__ import annotations

import pytest

from cluster.agent.attached_files import AttachedFiles
from cluster.errors import NotFound, Unavailable
from cluster.model.config import Config, ConfigSpec
from cluster.model.ids import ConfigId, SecretId, ServiceId
from cluster.model.meta import Meta
from cluster.model.registry_login import RegistryAuth, RegistryLogin
from cluster.model.secret import Secret, SecretSpec
from cluster.rpc.messages import AssignmentsMessage

SECRET = Secret(id=SecretId("s"), meta=Meta(), spec=SecretSpec(name="pass", data=b"x"))
CONFIG = Config(id=ConfigId("c"), meta=Meta(), spec=ConfigSpec(name="conf", data=b"y"))
FULL = AssignmentsMessage(sequence=0, is_complete=True, secrets=(SECRET,), configs=(CONFIG,))


def test_before_the_first_message_one_waits() -> None:
    files = AttachedFiles()
    with pytest.raises(Unavailable, match="secret pass comes from a manager"):
        files.secret(SECRET.id, "pass")
    with pytest.raises(Unavailable, match="config conf comes from a manager"):
        files.config(CONFIG.id, "conf")


def test_what_was_sent_is_there_until_it_is_taken_away() -> None:
    files = AttachedFiles()
    files.apply(FULL)
    files.apply(AssignmentsMessage(sequence=1))
    assert files.secret(SECRET.id, "pass").data == b"x"
    assert files.config(CONFIG.id, "conf").data == b"y"
    files.apply(
        AssignmentsMessage(sequence=2, removed_secrets=(SECRET.id,), removed_configs=(CONFIG.id,))
    )
    with pytest.raises(NotFound, match="secret pass not found"):
        files.secret(SECRET.id, "pass")
    with pytest.raises(NotFound, match="config conf not found"):
        files.config(CONFIG.id, "conf")


def test_a_full_set_replaces_what_was_there() -> None:
    files = AttachedFiles()
    files.apply(FULL)
    files.apply(AssignmentsMessage(sequence=0, is_complete=True))
    with pytest.raises(NotFound):
        files.secret(SECRET.id, "pass")


def test_a_node_that_leaves_forgets() -> None:
    files = AttachedFiles()
    files.apply(FULL)
    files.forget()
    with pytest.raises(NotFound):
        files.config(CONFIG.id, "conf")


def test_logins_are_known_until_they_are_taken_away() -> None:
    files = AttachedFiles()
    web = ServiceId("web")
    with pytest.raises(Unavailable, match="login at the image's registry comes from a manager"):
        files.registry_auth(web)
    login = RegistryLogin(service_id=web, auth=RegistryAuth(encoded="x"))
    files.apply(AssignmentsMessage(sequence=0, is_complete=True, logins=(login,)))
    assert files.registry_auth(web) == login.auth
    assert files.registry_auth(ServiceId("other")) is None
    files.apply(AssignmentsMessage(sequence=1, removed_logins=(web,)))
    assert files.registry_auth(web) is None
