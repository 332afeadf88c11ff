"""Registry logins of a stack's services, which go with the revision that they were for."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from cluster.api.commands.services import remove_service
from cluster.api.convert.stacks import full_revision_json
from cluster.api.payloads.stacks import WantedService
from cluster.model.registry_login import RegistryAuth
from cluster.model.service import GlobalMode, ServiceMode
from cluster.store.codec import decode_snapshot, encode_snapshot
from tests.unit.cluster.api.commands.stack_steps import Cluster, service

ONE, TWO, RENEWED = (RegistryAuth(encoded=text) for text in ("b25l", "dHdv", "bmV3"))


def with_login(wanted: WantedService, login: RegistryAuth) -> WantedService:
    return replace(wanted, auth=login, is_auth_given=True)


@pytest.fixture
def cluster() -> Cluster:
    """A stack with an image of one registry in its first revision, and of another in its second."""
    cluster = Cluster()
    cluster.deploy(
        with_login(WantedService(spec=service("shop_web", "one.example/web")), ONE),
        WantedService(spec=service("shop_db", "db")),
    )
    second = cluster.again("shop_web", service("shop_web", "two.example/web"))
    cluster.deploy(with_login(second, TWO))
    return cluster


def test_each_registry_gets_its_own_login(cluster: Cluster) -> None:
    cluster.roll_back(1)
    web = cluster.service("shop_web")
    assert (web.registry_auth, web.previous_registry_auth) == (ONE, TWO)
    cluster.roll_back(2)
    web = cluster.service("shop_web")
    assert (web.registry_auth, web.previous_registry_auth) == (TWO, ONE)


def test_a_login_is_not_sent_for_an_image_that_had_none(cluster: Cluster) -> None:
    private = cluster.again("shop_db", service("shop_db", "one.example/db"))
    cluster.deploy(with_login(private, ONE))
    cluster.roll_back(1)
    assert cluster.service("shop_db").registry_auth is None


def test_a_service_that_was_removed_gets_its_login_back(cluster: Cluster) -> None:
    cluster(remove_service, "shop_web")
    cluster.roll_back(1)
    assert cluster.service("shop_web").registry_auth == ONE


def test_a_service_of_another_mode_gets_its_login_back(cluster: Cluster) -> None:
    cluster(remove_service, "shop_web")
    everywhere = ServiceMode(global_=GlobalMode())
    wanted = replace(service("shop_web", "two.example/web"), mode=everywhere)
    cluster.deploy(WantedService(spec=wanted))
    cluster.roll_back(1)
    assert cluster.service("shop_web").spec.mode_name == "replicated"
    assert cluster.service("shop_web").registry_auth == ONE


def test_a_login_that_was_renewed_is_the_one_that_comes_back(cluster: Cluster) -> None:
    again = cluster.again("shop_web", service("shop_web", "two.example/web"))
    cluster.deploy(with_login(again, RENEWED))
    assert cluster.numbers() == [1, 2], "a login alone is no revision"
    cluster.deploy(cluster.again("shop_web", service("shop_web", "one.example/web")))
    cluster.roll_back(2)
    assert cluster.service("shop_web").registry_auth == RENEWED


def test_a_login_is_kept_with_the_state_and_shown_to_nobody(cluster: Cluster) -> None:
    state = decode_snapshot(encode_snapshot(cluster.state))
    first, second = state.revisions_of("shop")
    assert (first.login_of("shop_web"), second.login_of("shop_web")) == (ONE, TWO)
    assert first.login_of("shop_db") is None
    shown = json.dumps([full_revision_json(state, one) for one in (first, second)], default=str)
    assert "two.example/web" in shown
    for text in (shown, repr(first), repr(second)):
        assert not any(login.encoded in text for login in (ONE, TWO))
