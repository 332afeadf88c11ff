"""Several files of one project."""

import pytest

from stack.compose.types import Port
from stack.errors import ComposeError
from tests.unit.stack.project import load_texts


def merged(first: str, second: str):
    (service,) = load_texts(
        f"services: {{web: {{image: i, {first}}}}}", f"services: {{web: {{{second}}}}}"
    ).compose.services
    return service


def test_scalars_are_replaced_and_empty_ones_are_not() -> None:
    assert merged("user: a, read_only: true", "user: b, read_only: false").user == "b"
    assert merged("user: a, read_only: true", "read_only: false").read_only is False
    assert merged("user: a", "user: ").user == "a"


def test_commands_are_replaced() -> None:
    assert merged("command: [a, b]", "command: c").command == ("c",)
    test = merged("healthcheck: {test: [CMD, a]}", "healthcheck: {test: b}").healthcheck
    assert test is not None
    assert test.test == ("CMD-SHELL", "b")


def test_lists_and_maps_of_names_and_values_merge_by_name() -> None:
    assert merged("environment: [A=1, B=1]", "environment: {B: 2, C: 3}").environment == {
        "A": "1",
        "B": "2",
        "C": "3",
    }
    assert merged("environment: {A: 1}", "environment: [A]").environment == {}
    assert merged("labels: {a: 1}", "labels: [a=2]").labels == {"a": "2"}


def test_ports_are_one_for_an_address_and_target() -> None:
    first = "ports: [{target: 80, published: 8080, mode: ingress}]"
    second = "ports: [{target: 80, published: 8080, mode: host}, {target: 81, published: 8080, mode: host}]"
    assert merged(first, second).ports == (
        Port(target=80, published=8080, mode="host"),
        Port(target=81, published=8080, mode="host"),
    )


def test_a_later_mount_of_a_target_takes_the_place_of_the_first() -> None:
    mounts = merged("volumes: [/a:/x, /b:/y]", "volumes: [/c:/x]").mounts
    assert [(one.source, one.target) for one in mounts] == [("/c", "/x"), ("/b", "/y")]


def test_networks_merge_and_aliases_are_unique() -> None:
    networks = merged("networks: [default]", "networks: {default: {aliases: [a, b, a]}}").networks
    assert [(one.name, one.aliases) for one in networks] == [("default", ("a", "b"))]


def test_constraints_are_appended() -> None:
    placement = merged(
        "deploy: {placement: {constraints: [node.role==worker]}}",
        "deploy: {placement: {constraints: [node.id!=x]}}",
    ).deploy.placement
    assert placement.constraints == ("node.role==worker", "node.id!=x")


def test_reset_takes_a_key_away_and_override_replaces_it() -> None:
    service = merged(
        "user: a, environment: {A: 1}, command: [x]",
        "user: !reset null, environment: !override {B: 2}, command: !reset []",
    )
    assert (service.user, service.environment, service.command) == ("", {"B": "2"}, ())


def test_documents_of_one_file_merge_too() -> None:
    compose = load_texts("services: {a: {image: i}}\n---\nservices: {a: {user: u}}").compose
    assert compose.services[0].user == "u"


def test_a_list_over_a_map_is_an_error() -> None:
    with pytest.raises(ComposeError) as caught:
        merged("deploy: {replicas: 1}", "deploy: [1]")
    assert str(caught.value) == ("b.yml:1: services.web.deploy: must be a map, not a list")
