"""The key of a file that a node seals for itself."""

from __future__ import annotations

from pathlib import Path

from cluster.ca.file_key import FileKey
from cluster.ca.node_lock import NodeLock, new_unlock_key


def test_what_is_sealed_comes_back_in_another_life(tmp_path: Path) -> None:
    path = tmp_path / "key"
    sealed = FileKey(path, NodeLock(tmp_path)).seal(b"secret")
    assert b"secret" not in sealed
    assert path.stat().st_mode & 0o777 == 0o600
    again = FileKey(path, NodeLock(tmp_path))
    assert again.unseal(sealed) == b"secret"
    assert again.unseal(sealed[:-1]) is None
    assert again.unseal(b"") is None
    assert again.seal(b"secret") != sealed


def test_it_is_wrapped_while_the_node_locks_itself(tmp_path: Path) -> None:
    path, unlock_key = tmp_path / "key", new_unlock_key()
    lock = NodeLock(tmp_path)
    key = FileKey(path, lock)
    clear, sealed = path.read_bytes(), key.seal(b"secret")
    lock.begin(unlock_key)
    key.save()
    lock.complete()
    assert clear[8:] not in path.read_bytes()
    opened = NodeLock(tmp_path)
    opened.unlock(unlock_key)
    assert FileKey(path, opened).unseal(sealed) == b"secret"


def test_a_key_that_cannot_be_read_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"nonsense")
    key = FileKey(path, NodeLock(tmp_path))
    assert FileKey(path, NodeLock(tmp_path)).unseal(key.seal(b"x")) == b"x"
