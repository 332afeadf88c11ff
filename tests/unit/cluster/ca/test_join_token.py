"""Join tokens: form, digest and secret."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ca.join_token import is_root_of, new_join_token, parse_join_token, role_for
from cluster.errors import InvalidArgument
from tests.support.identities import root_ca

OURS, THEIRS = root_ca().cert_pem, root_ca("theirs").cert_pem


def test_a_token_has_swarms_form_and_a_fresh_secret() -> None:
    one, two = new_join_token(OURS), new_join_token(OURS)
    assert re.fullmatch(r"SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}", one)
    assert one != two
    assert one.rsplit("-", 1)[0] == two.rsplit("-", 1)[0]


def test_the_digest_recognises_the_root() -> None:
    token = parse_join_token(new_join_token(OURS))
    assert is_root_of(token, OURS)
    assert is_root_of(token, "\n" + OURS)  # the certificate counts, not how it is written
    assert not is_root_of(token, THEIRS)
    with pytest.raises(InvalidArgument, match="root certificate"):
        is_root_of(token, "nonsense")


def test_blanks_around_a_token_are_forgiven() -> None:
    token = new_join_token(OURS)
    assert parse_join_token(f" {token}\n") == parse_join_token(token)


@given(st.text(max_size=100))
def test_other_text_is_no_token_and_is_not_repeated(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^invalid join token") as caught:
        parse_join_token("secret" + text)
    assert "secret" not in str(caught.value)


def test_a_token_does_not_show_itself() -> None:
    assert repr(parse_join_token(new_join_token(OURS))) == "JoinToken(...)"


def test_the_token_gives_the_role() -> None:
    worker, manager = new_join_token(OURS), new_join_token(OURS)
    assert role_for(worker, worker_token=worker, manager_token=manager) == "worker"
    assert role_for(manager, worker_token=worker, manager_token=manager) == "manager"
    for wrong in (new_join_token(OURS), "", worker[:-1], "ä"):
        with pytest.raises(InvalidArgument, match="invalid join token"):
            role_for(wrong, worker_token=worker, manager_token=manager)
