"""The digests are those of the client, so that both find each other's versions."""

from __future__ import annotations

import base64

import pytest

from cluster.api.commands.versions import (
    base_of,
    digest_of,
    is_name_of,
    versioned_name,
    with_digest,
)
from cluster.model.container import Driver
from cluster.model.secret import SecretSpec
from cluster.model.stack import CONTENT_LABEL, NAMESPACE_LABEL, VERSION_LABEL
from stack.deploy import versions as client


@pytest.mark.parametrize("templating", ["", "golang"])
def test_digests_are_those_of_the_client(templating: str) -> None:
    request = {"Name": "shop_pass", "Data": base64.b64encode(b"x").decode()}
    driver = Driver(name=templating) if templating else None
    spec = SecretSpec(name="shop_pass", data=b"x", templating=driver)
    if templating:
        request["Templating"] = {"Name": templating}  # type: ignore[assignment]
    assert digest_of(spec) == client.digest_of(request)
    assert (CONTENT_LABEL, VERSION_LABEL) == (client.CONTENT_LABEL, client.VERSION_LABEL)


def test_a_version_is_digested_under_the_name_that_all_share() -> None:
    plain = SecretSpec(name="shop_pass", data=b"x")
    version = SecretSpec(name="other", data=b"x", labels={VERSION_LABEL: "shop_pass"})
    assert digest_of(version) == digest_of(plain)
    assert base_of(version) == "shop_pass"


def test_names_stay_within_the_limit() -> None:
    assert versioned_name("shop_pass", "0123456789abcdef") == "shop_pass-0123456789"
    assert len(versioned_name("a" * 64, "0123456789abcdef")) == 64


def test_a_name_that_an_object_had_is_still_one_of_it() -> None:
    labels = {CONTENT_LABEL: "0123456789abcdef", VERSION_LABEL: "pass"}
    spec = SecretSpec(name="pass-0123456789", data=b"x", labels=labels)
    assert is_name_of(spec, "pass-0123456789")
    assert is_name_of(spec, "pass")
    assert not is_name_of(spec, "pass-9999999999")
    now_plain = SecretSpec(name="pass", data=b"x", labels={CONTENT_LABEL: "0123456789abcdef"})
    assert is_name_of(now_plain, "pass-0123456789")
    assert not is_name_of(SecretSpec(name="pass", data=b"x"), "pass-0123456789")


def test_only_what_a_stack_owns_gets_a_digest() -> None:
    own = SecretSpec(name="shop_pass", data=b"x", labels={NAMESPACE_LABEL: "shop"})
    labels = with_digest(own).labels or {}
    assert labels == {NAMESPACE_LABEL: "shop", CONTENT_LABEL: digest_of(own)}
    plain = SecretSpec(name="pass", data=b"x")
    assert with_digest(plain) is plain
