"""A backup: opened whole with its passphrase, or not at all."""

from __future__ import annotations

import msgspec
import pytest

from cluster.errors import InvalidArgument, Unauthenticated
from cluster.model.ids import SecretId
from cluster.model.meta import Meta
from cluster.model.secret import Secret, SecretSpec
from cluster.model.units import Timestamp
from cluster.replication.backup import open_backup, seal_backup
from cluster.store import codec
from cluster.store.change import Created
from cluster.store.state import ClusterState
from tests.support.identities import cluster_object

PASSPHRASE = "correct horse battery"
CANARY = b"canary-that-must-not-be-found"
NOW = Timestamp(1_800_000_000_000_000_000)


def secret(number: int, data: bytes) -> Created:
    spec = SecretSpec(name=f"s{number}", data=data)
    return Created(Secret(id=SecretId(f"{number:025d}"), meta=Meta(), spec=spec))


STATE = ClusterState().apply((Created(cluster_object()), secret(1, CANARY)))
SEALED = seal_backup(STATE, PASSPHRASE, NOW)


def test_everything_comes_back() -> None:
    opened = open_backup(SEALED, PASSPHRASE)
    assert tuple(opened.everything()) == tuple(STATE.everything())
    assert opened.revision == STATE.revision


def test_a_state_of_several_pieces_comes_back() -> None:
    # what cannot be compressed
    import random

    rng = random.Random(7)
    many = ClusterState().apply(
        (Created(cluster_object()), *(secret(n, rng.randbytes(500_000)) for n in range(5)))
    )
    sealed = seal_backup(many, PASSPHRASE, NOW)
    assert len(sealed) > 2 << 20
    assert tuple(open_backup(sealed, PASSPHRASE).everything()) == tuple(many.everything())
    with pytest.raises(InvalidArgument, match="cut short"):
        open_backup(sealed[: 2 << 20], PASSPHRASE)


def test_nothing_in_it_is_in_clear_and_no_two_are_alike() -> None:
    cluster = cluster_object()
    for text in (CANARY, cluster.worker_token.encode(), cluster.root_ca.key_pem.encode()[30:60]):
        assert text not in SEALED
    assert seal_backup(STATE, PASSPHRASE, NOW) != SEALED


def test_another_passphrase_is_told_from_damage() -> None:
    with pytest.raises(Unauthenticated, match="passphrase is not the one"):
        open_backup(SEALED, PASSPHRASE + "x")


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="at least 8"):
        seal_backup(STATE, "short", NOW)


@pytest.mark.parametrize("share", [0.0, 0.005, 0.02, 0.06, 0.15, 0.2, 0.5, 0.999])
def test_a_file_that_was_cut_short_is_refused(share: float) -> None:
    kept = int(len(SEALED) * share)
    with pytest.raises(InvalidArgument, match=r"no backup|damaged or cut short"):
        open_backup(SEALED[:kept], PASSPHRASE)


@pytest.mark.parametrize("share", [0.0, 0.009, 0.03, 0.1, 0.5, 0.999])
def test_a_changed_byte_is_noticed(share: float) -> None:
    at = int(len(SEALED) * share)
    changed = bytearray(SEALED)
    changed[at] ^= 1
    with pytest.raises((InvalidArgument, Unauthenticated)):
        open_backup(bytes(changed), PASSPHRASE)


def test_one_of_a_newer_version_is_told_from_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(codec, "FORMAT", codec.FORMAT + 1)
        sealed = seal_backup(STATE, PASSPHRASE, NOW)
    with pytest.raises(InvalidArgument, match="cannot be restored: a newer stackd"):
        open_backup(sealed, PASSPHRASE)


def test_something_behind_the_end_is_noticed() -> None:
    with pytest.raises(InvalidArgument, match="damaged"):
        open_backup(SEALED + b"\0", PASSPHRASE)
    assert msgspec.structs.asdict(cluster_object())["worker_token"]
