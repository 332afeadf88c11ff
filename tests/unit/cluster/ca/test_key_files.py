"""Credentials on disk: private, whole, and replaced at once."""

from __future__ import annotations

import os

import pytest

from cluster.ca.key_files import FILE_NAME, KeyFiles
from cluster.errors import FatalStorageError
from tests.support.identities import credentials

ONE, TWO = credentials("n1", "worker"), credentials("n1", "manager")


def test_what_is_saved_is_loaded(tmp_path) -> None:
    files = KeyFiles(tmp_path / "certificates")
    assert files.load() is None
    files.save(ONE)
    assert files.load() == ONE
    files.save(TWO)
    assert files.load() == TWO
    assert [p.name for p in (tmp_path / "certificates").iterdir()] == [FILE_NAME]
    files.remove()
    files.remove()
    assert files.load() is None


def test_only_the_owner_may_read(tmp_path) -> None:
    folder = tmp_path / "certificates"
    before = os.umask(0)
    try:
        KeyFiles(folder).save(ONE)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_a_crash_before_the_rename_leaves_the_old_ones(tmp_path) -> None:
    files = KeyFiles(tmp_path)
    files.save(ONE)
    (tmp_path / (FILE_NAME + ".new")).write_text(TWO.key_pem)
    assert files.load() == ONE
    files.save(TWO)
    assert files.load() == TWO


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must hold"),
        (ONE.key_pem + ONE.certificate_pem, "must hold"),
        (TWO.key_pem + ONE.certificate_pem + ONE.root_ca_pem, "do not belong together"),
        (
            ONE.key_pem
            + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
            + ONE.root_ca_pem,
            "not readable",
        ),
    ],
    ids=["empty", "cut", "mixed", "garbled"],
)
def test_a_damaged_file_is_named_with_the_way_out(tmp_path, text, why) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(FatalStorageError, match=why) as caught:
        KeyFiles(tmp_path).load()
    assert str(tmp_path / FILE_NAME) in str(caught.value)
    assert "join again" in str(caught.value)
    assert "PRIVATE" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FatalStorageError, match="cannot be written"):
        KeyFiles(tmp_path / "file" / "certificates").save(ONE)
