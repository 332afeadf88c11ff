"""What is stored changes its number with its members, so that no older manager misreads it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cluster.store.change import LogEntry
from cluster.store.codec import (
    FORMAT,
    decode_entry,
    decode_snapshot,
    encode_entry,
    encode_snapshot,
)
from cluster.store.state import ClusterState

FORMATS = Path(__file__).with_name("stored_formats.json")


def digest_of_members() -> str:
    """A digest of the names and types of all that is stored; texts for people do not count."""
    schema = msgspec.json.schema_components([LogEntry])
    return hashlib.sha256(json.dumps(without_texts(schema), sort_keys=True).encode()).hexdigest()


def without_texts(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {
            key: without_texts(value)
            for key, value in tree.items()
            if not (key == "description" and isinstance(value, str))
        }
    return [without_texts(one) for one in tree] if isinstance(tree, list | tuple) else tree


def test_a_format_has_the_members_that_it_had(request: pytest.FixtureRequest) -> None:
    """Raise FORMAT where this fails and a release has had the number; else `--rewrite`."""
    known = json.loads(FORMATS.read_text())
    if request.config.getoption("--rewrite", default=False):
        known[str(FORMAT)] = digest_of_members()
        FORMATS.write_text(json.dumps(known, indent=1) + "\n")
    assert known[str(FORMAT)] == digest_of_members()
    assert list(known) == [str(number) for number in range(1, FORMAT + 1)]


@pytest.mark.parametrize("decode", [decode_entry, decode_snapshot])
def test_what_a_newer_version_wrote_is_refused_with_the_way_out(decode: Any) -> None:
    with pytest.raises(ValueError, match=r"a newer stackd has written it, in format 9;.* upgrade"):
        decode(bytes((9,)) + encode_entry(())[1:])
    for damaged in (b"", b"\0abc"):
        with pytest.raises(ValueError, match="damaged"):
            decode(damaged)


def test_the_format_comes_first() -> None:
    assert encode_entry(())[0] == encode_snapshot(ClusterState())[0] == FORMAT
