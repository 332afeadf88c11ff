from __future__ import annotations

from pathlib import Path

import pytest

from cluster.replication.sealing import Damaged, DataKey, new_salt


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
