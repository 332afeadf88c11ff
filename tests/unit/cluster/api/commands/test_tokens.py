"""Deploy tokens: made, proved, rotated and taken back."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.api.commands.tokens import (
    Credential,
    authenticate,
    create_token,
    find_token,
    remove_token,
    rotate_token,
)
from cluster.errors import AlreadyExists, InvalidArgument, NotFound, Unauthenticated
from cluster.model.token import DeployToken
from cluster.model.units import Timestamp
from cluster.store.codec import encode_snapshot
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction
from tests.compat.memory_node import counting_ids
from tests.support.builders import seconds

NEVER = Timestamp(0)


class Cluster:
    def __init__(self) -> None:
        self.state = ClusterState()
        self.new_id = counting_ids()

    def __call__(self, command: Any, *arguments: Any, **more: Any) -> Any:
        tx = Transaction(self.state, seconds(1000))
        result = command(tx, *arguments, **more)
        self.state = self.state.apply(tx.changes)
        return result

    def create(self, name: str = "ci", **more: Any) -> Credential:
        wanted = {
            "stacks": ("shop",), "until": NEVER, "allowed": (), "networks": (), **more
        }  # fmt: skip
        made = self(create_token, name, self.new_id, **wanted)
        assert isinstance(made, Credential)
        return made

    def authenticate(self, text: str, at: float = 1000) -> DeployToken:
        return authenticate(self.state, text, seconds(at))


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_a_text_proves_its_token(cluster: Cluster) -> None:
    made, other = cluster.create(), cluster.create("other")
    assert cluster.authenticate(made.text).name == "ci"
    assert cluster.authenticate(other.text).name == "other"


def test_the_secret_is_not_kept_and_not_shown(cluster: Cluster) -> None:
    made = cluster.create()
    secret = made.text.rpartition("_")[2]
    assert secret.encode() not in encode_snapshot(cluster.state)
    assert secret not in repr(made)
    token = find_token(cluster.state, "ci")
    assert token.digest not in repr(token)


def test_another_text_proves_nothing(cluster: Cluster) -> None:
    made, other = cluster.create(), cluster.create("other")
    token_id, secret = made.text.split("_")[1:]
    mixed = f"stk_{token_id}_{other.text.rpartition('_')[2]}"
    for text in (
        mixed,
        f"stk_{token_id}_{secret[:-1]}{'1' if secret[-1] != '1' else '2'}",
        f"stk_{'0' * 25}_{secret}",
        f"stk_{'0' * 25}_{'0' * 25}",
        f"{made.text}0",
        f" {made.text}",
        made.text.upper(),
        f"stk_{token_id}_",
        "",
        "-",
    ):
        with pytest.raises(Unauthenticated):
            cluster.authenticate(text)


def test_a_token_ends(cluster: Cluster) -> None:
    made = cluster.create(until=seconds(2000))
    assert cluster.authenticate(made.text, 1999).name == "ci"
    with pytest.raises(Unauthenticated, match="deploy token ci has expired"):
        cluster.authenticate(made.text, 2000)


def test_rotation_makes_the_text_of_before_worthless(cluster: Cluster) -> None:
    made = cluster.create(until=seconds(2000))
    fresh = cluster(rotate_token, "ci", cluster.new_id, until=None)
    assert fresh.token_id == made.token_id
    assert cluster.authenticate(fresh.text).until == seconds(2000)
    with pytest.raises(Unauthenticated, match="rotated or removed"):
        cluster.authenticate(made.text)
    later = cluster(rotate_token, fresh.token_id, cluster.new_id, until=seconds(3000))
    assert cluster.authenticate(later.text, 2999).name == "ci"


def test_a_removed_token_proves_nothing(cluster: Cluster) -> None:
    made = cluster.create()
    cluster(remove_token, "ci")
    with pytest.raises(Unauthenticated):
        cluster.authenticate(made.text)
    with pytest.raises(NotFound, match="deploy token ci not found"):
        cluster(remove_token, "ci")


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("", {}, "Name: ''"),
        ("a b", {}, "Name: 'a b'"),
        ("ci\n", {}, "Name"),
        ("ci", {"stacks": ()}, "at least one stack"),
        ("ci", {"stacks": ("",)}, "Stacks: ''"),
        ("ci", {"stacks": ("a[b]",)}, r"Stacks: 'a\[b\]'"),
        ("ci", {"allowed": ("everything",)}, "Allow: 'everything' is none of privileged"),
        ("ci", {"until": seconds(999)}, "ended already"),
    ],
)
def test_wrong_wishes_are_refused(
    cluster: Cluster, name: str, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        cluster.create(name, **more)


def test_names_are_taken_once(cluster: Cluster) -> None:
    cluster.create()
    with pytest.raises(AlreadyExists, match="deploy token ci already exists"):
        cluster.create()


def test_which_stacks_a_token_covers() -> None:
    token = DeployToken(
        id="t", meta=None, name="ci", digest="", stacks=("shop", "blog-*")  # type: ignore[arg-type]
    )  # fmt: skip
    assert [token.covers(one) for one in ("shop", "blog-eu", "blog-")] == [True] * 3
    assert [token.covers(one) for one in ("", "Shop", "shop2", "xshop", "blog")] == [False] * 5
    assert [token.covers_name(one) for one in ("shop_web", "blog-eu_a")] == [True] * 2
    assert [token.covers_name(one) for one in ("shop", "shop_", "_shop", "other_web", "")] == [
        False
    ] * 5
