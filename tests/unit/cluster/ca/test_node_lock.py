"""The key that wraps a node's keys, and the unlock key that opens it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.ca.key_files import FILE_NAME as NODE_PEM
from cluster.ca.key_files import KeyFiles
from cluster.ca.node_lock import FILE_NAME, NodeLock, new_unlock_key, parse_unlock_key
from cluster.errors import FatalStorageError, InvalidArgument, Unauthenticated
from tests.support.identities import credentials

MINE = credentials("n1", "manager")


def test_unlock_keys_look_as_docker_swarms_do_and_differ() -> None:
    recorded = "SWMKEY-1-wlCSoxlKPywFceQR1kphfFCNjS6xACTB+GMgZVShPkg"
    assert len(parse_unlock_key(recorded)) == 32
    one, two = new_unlock_key(), new_unlock_key()
    assert len(one) == len(recorded)
    assert parse_unlock_key(one) != parse_unlock_key(two)
    assert parse_unlock_key(f"  {one}\n") == parse_unlock_key(one)


@pytest.mark.parametrize("text", ["", "x", "SWMKEY-1-short", "SWMKEY-2-" + "A" * 43])
def test_what_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid unlock key") as caught:
        parse_unlock_key(text)
    assert text not in str(caught.value) or len(text) < 2


def test_without_the_file_nothing_is_locked_or_wrapped(tmp_path: Path) -> None:
    lock = NodeLock(tmp_path)
    assert not lock.is_locked
    assert not lock.is_there
    assert lock.wrap(b"secret", b"test") is None


def test_only_the_unlock_key_opens(tmp_path: Path) -> None:
    key = new_unlock_key()
    lock = NodeLock(tmp_path)
    lock.begin(key)
    lock.complete()
    sealed = lock.wrap(b"secret", b"test")
    assert sealed is not None
    assert b"secret" not in sealed
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600

    again = NodeLock(tmp_path)
    assert again.is_locked
    assert again.unwrap(sealed, b"test") is None
    with pytest.raises(Unauthenticated, match="invalid key provided"):
        again.unlock(new_unlock_key())
    assert again.is_locked
    again.unlock(key)
    assert not again.is_locked
    assert again.unwrap(sealed, b"test") == b"secret"
    assert again.unwrap(sealed, b"other purpose") is None
    assert again.unwrap(sealed[:-1] + b"x", b"test") is None


def save(lock: NodeLock, folder: Path) -> None:
    KeyFiles(folder, lock).save(MINE)


def start(folder: Path, unlock_key: str) -> NodeLock:
    """What a restart finds, with the key given if it is asked for."""
    lock = NodeLock(folder)
    if lock.is_locked:
        lock.unlock(unlock_key)
    assert KeyFiles(folder, lock).load() == MINE
    return lock


def test_a_crash_at_any_step_leaves_what_one_key_opens(tmp_path: Path) -> None:
    first, second = new_unlock_key(), new_unlock_key()
    lock = NodeLock(tmp_path)
    save(lock, tmp_path)

    lock.begin(first)
    assert start(tmp_path, first).wrapping_key == lock.wrapping_key
    assert start(tmp_path, first).is_changing
    save(lock, tmp_path)
    assert "ENCRYPTED PRIVATE KEY" in (tmp_path / NODE_PEM).read_text()
    start(tmp_path, first)
    lock.complete()
    assert not start(tmp_path, first).is_changing

    lock.begin(second)
    assert start(tmp_path, second).is_changing
    with pytest.raises(Unauthenticated):
        start(tmp_path, first)
    save(lock, tmp_path)
    start(tmp_path, second)
    lock.complete()
    assert not start(tmp_path, second).is_changing
    assert len(lock.keys) == 1

    lock.begin_to_open()
    assert not NodeLock(tmp_path).is_locked
    assert start(tmp_path, "").is_changing
    save(lock, tmp_path)
    assert "ENCRYPTED" not in (tmp_path / NODE_PEM).read_text()
    start(tmp_path, "")
    lock.complete()
    assert not (tmp_path / FILE_NAME).exists()
    start(tmp_path, "")


def test_the_key_of_a_locked_node_is_not_read_without_its_lock(tmp_path: Path) -> None:
    lock = NodeLock(tmp_path)
    lock.begin(new_unlock_key())
    save(lock, tmp_path)
    for wrong in (None, NodeLock(tmp_path / "elsewhere")):
        with pytest.raises(FatalStorageError, match="does not open its private key"):
            KeyFiles(tmp_path, wrong).load()


@pytest.mark.parametrize("text", ["", "{", '{"format":2}', '{"clear":"AAAA"}'])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(FatalStorageError, match=FILE_NAME):
        NodeLock(tmp_path)
