"""The file of the data keys: private, whole, wrapped if the node's lock says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.ca.node_lock import NodeLock, new_unlock_key
from cluster.errors import FatalStorageError
from cluster.replication.data_keys import DataKeys
from cluster.replication.sealing import new_salt


def test_a_key_file_is_private_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "key"
    keys = DataKeys.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert DataKeys.load(path).ids == keys.ids
    salt = new_salt()
    sealed = keys.current.sealer(salt, b"x").seal(0, b"secret", b"label")
    again = DataKeys.load(path).current.sealer(salt, b"x")
    assert again.unseal(0, sealed, b"label") == b"secret"


def test_an_old_key_stays_as_long_as_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "key"
    keys = DataKeys.create(path)
    old = keys.current.id
    keys.add_new()
    keys.save(path)
    keys = DataKeys.load(path)
    assert keys.current.id != old
    assert keys.find(old) is not None
    assert not keys.retain({old})
    assert keys.retain(set())
    assert keys.find(old) is None
    assert keys.find(keys.current.id) is keys.current


def test_wrapped_keys_need_the_node_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    lock = NodeLock(tmp_path)
    lock.begin(new_unlock_key())
    keys = DataKeys.create(path, lock)
    assert keys.current.secret not in path.read_bytes()
    assert DataKeys.load(path, lock).ids == keys.ids
    for wrong in (None, NodeLock(tmp_path / "elsewhere")):
        with pytest.raises(FatalStorageError, match="node key does not open it"):
            DataKeys.load(path, wrong)


@pytest.mark.parametrize(
    "text", ["", "stackyard-data-key 1\nAAAA\n", "stackyard-data-key 1 wrapped\n??\n", "x"]
)
def test_a_damaged_key_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(FatalStorageError, match=f"{path}: not a data key"):
        DataKeys.load(path)


def test_a_key_file_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    DataKeys.create(path)
    path.chmod(0o640)
    with pytest.raises(FatalStorageError, match=f"chmod 600 {path}"):
        DataKeys.load(path)
