from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import FatalStorageError
from cluster.replication.sealing import Damaged, DataKey, new_salt


def test_a_key_file_is_private_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = DataKey.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert DataKey.load(path).id == key.id
    salt = new_salt()
    sealed = key.sealer(salt, b"x").seal(0, b"secret", b"label")
    assert DataKey.load(path).sealer(salt, b"x").unseal(0, sealed, b"label") == b"secret"


def test_the_key_does_not_show(tmp_path: Path) -> None:
    key = DataKey(b"k" * 32)
    assert repr(key) == f"DataKey(id={key.id.hex()})"


def test_nothing_but_the_sealed_thing_at_its_place_is_accepted() -> None:
    key, salt = DataKey(bytes(32)), new_salt()
    sealer = key.sealer(salt, b"log")
    sealed = sealer.seal(7, b"secret", b"label")
    assert b"secret" not in sealed
    others = [
        (sealer, 8, sealed, b"label"),
        (sealer, 7, sealed, b"other"),
        (sealer, 7, sealed[:-1] + bytes([sealed[-1] ^ 1]), b"label"),
        (sealer, 7, sealed[:-1], b"label"),
        (key.sealer(salt, b"snapshot"), 7, sealed, b"label"),
        (key.sealer(new_salt(), b"log"), 7, sealed, b"label"),
        (DataKey(b"1" * 32).sealer(salt, b"log"), 7, sealed, b"label"),
    ]
    for other, number, data, label in others:
        with pytest.raises(Damaged):
            other.unseal(number, data, label)


@pytest.mark.parametrize(
    "text", ["", "stackyard-data-key 1\nAAAA\n", "stackyard-data-key 2\n", "x"]
)
def test_a_damaged_key_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(FatalStorageError, match=f"{path}: not a data key"):
        DataKey.load(path)


def test_a_key_file_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    DataKey.create(path)
    path.chmod(0o640)
    with pytest.raises(FatalStorageError, match=f"chmod 600 {path}"):
        DataKey.load(path)
