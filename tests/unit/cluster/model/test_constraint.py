from __future__ import annotations

import pytest

from cluster.errors import InvalidArgument
from cluster.model.constraint import Constraint, attribute, node_fits, parse, parse_all
from tests.support.builders import make_node

NODE = make_node(
    "n1",
    hostname="Alpha",
    role="manager",
    addr="10.0.0.5",
    labels={"zone": "West", "Disk": "ssd"},
    engine_labels={"gpu": "yes"},
)


@pytest.mark.parametrize(
    ("text", "key", "is_equal", "value"),
    [
        ("node.labels.zone==a", "node.labels.zone", True, "a"),
        ("node.role != manager", "node.role", False, "manager"),
        ("  node.id==x  ", "node.id", True, "x"),
        ("node.labels.a==b!=c", "", True, ""),
        ("node.hostname==web 1", "node.hostname", True, "web 1"),
    ],
)
def test_parse(text: str, key: str, is_equal: bool, value: str) -> None:
    if not key:
        with pytest.raises(InvalidArgument, match='value "b!=c"'):
            parse(text)
        return
    assert parse(text) == Constraint(key=key, is_equal=is_equal, value=value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("noderole", "constraint expected one operator from ==, !="),
        ("node.role=manager", "constraint expected one operator from ==, !="),
        ("==manager", 'constraint key "" of "==manager" is invalid'),
        ("1node==a", 'constraint key "1node"'),
        ("node.role==", 'constraint value "" of "node.role==" is invalid'),
        ("node.role==mänager", "constraint value"),
    ],
)
def test_an_error_names_the_text(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_all(["node.id==a", text])
    assert str(caught.value).startswith(message)
    assert f'"{text}"' in str(caught.value)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("node.id==N1", True),
        ("node.id!=n1", False),
        ("node.hostname==alpha", True),
        ("NODE.hostname==alpha", True),
        ("node.role==Manager", True),
        ("node.role!=worker", True),
        ("node.platform.os==linux", True),
        ("node.platform.arch==x86_64", True),
        ("node.platform.arch!=x86_64", False),
        ("node.labels.zone==west", True),
        ("node.labels.Zone==west", False),
        ("node.labels.Disk==SSD", True),
        ("node.labels.absent!=x", True),
        ("node.labels.absent==x", False),
        ("engine.labels.gpu==yes", True),
        ("engine.labels.gpu!=yes", False),
        ("node.ip==10.0.0.5", True),
        ("node.ip!=10.0.0.5", False),
        ("node.ip==10.0.0.0/24", True),
        ("node.ip!=10.1.0.0/16", True),
        ("node.ip==10.0.0.7/24", True),
        ("node.ip==nowhere", False),
        ("node.ip!=nowhere", False),
        ("foo==bar", False),
        ("foo!=bar", False),
    ],
)
def test_matching(text: str, matches: bool) -> None:
    assert parse(text).matches(NODE) is matches


def test_a_node_that_has_said_nothing_matches_no_value() -> None:
    bare = make_node("n2", hostname="", addr="")
    assert not node_fits(["node.ip==10.0.0.0/8"], bare)
    assert node_fits(["node.ip!=10.0.0.0/8"], bare)


def test_a_text_that_cannot_be_read_matches_no_node() -> None:
    assert not node_fits(["noderole"], NODE)
    assert node_fits([], NODE)


def test_attribute_of_a_spread_preference() -> None:
    assert attribute(NODE, "node.labels.zone") == "West"
    assert attribute(NODE, "engine.labels.gpu") == "yes"
    assert attribute(NODE, "node.labels.absent") == ""
    assert attribute(NODE, "something") == ""
