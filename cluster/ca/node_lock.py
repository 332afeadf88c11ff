"""What locks a manager that restarts: its keys on disk are wrapped, and the unlock key opens them.

The unlock key is one for the cluster, kept in its state and by the user. It changes from time to
time, and the files that it protects are several; so it wraps only a node key, in a file of its own
(``node-key``), and the node key wraps the rest: the keys of the log and the node's private key.
Replacing that one file is the moment at which a change happens.

    lock      a fresh node key, sealed with the unlock key, is written first, then the others
    rotate    the same, with the former node key beside the fresh one until all are wrapped anew
    open up   the node key is written in clear first, then the others, then it is removed

So after a crash anywhere the unlock key of either side of the change, whichever the file names,
opens everything, and the change is completed at the next start.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cluster.errors import FatalStorageError, InvalidArgument, Unauthenticated
from cluster.model.spec_struct import ObjectStruct

FILE_NAME: Final = "node-key"
FORMAT: Final = 1

_PREFIX: Final = "SWMKEY-1-"
_FORM: Final = re.compile(r"SWMKEY-1-[A-Za-z0-9+/]{43}")
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


def new_unlock_key() -> str:
    """Make an unlock key, in the form in which users keep it: 256 random bits."""
    key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    return _PREFIX + key.rstrip("=")


def parse_unlock_key(text: str) -> bytes:
    """Return the 32 bytes of an unlock key.

    Raises:
        InvalidArgument: it has not the form of one; the text is not repeated.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise InvalidArgument("invalid unlock key: it must look like SWMKEY-1-<43 characters>")
    return base64.b64decode(found[0].removeprefix(_PREFIX) + "=")


class _File(ObjectStruct, frozen=True, kw_only=True):
    """The file's contents: node keys, the newest first, in clear or sealed.

    It is complete when everything else is wrapped with the newest.
    """

    format: int = FORMAT
    clear: bytes = b""
    sealed: bytes = b""
    is_complete: bool = False


class NodeLock:
    """The file ``node-key`` of a node, and the keys in it once they are known."""

    def __init__(self, folder: Path) -> None:
        """Read the file; there is none while nothing is wrapped.

        Raises:
            FatalStorageError: the file cannot be read.
        """
        self._path = folder / FILE_NAME
        self._file = self._read()
        self._keys = _split(self._file.clear) if self._file else ()
        self._opened_with = ""

    @property
    def is_locked(self) -> bool:
        """Whether an unlock key is needed and was not given."""
        return self._file is not None and bool(self._file.sealed) and not self._keys

    @property
    def is_there(self) -> bool:
        """Whether anything may be wrapped."""
        return self._file is not None

    @property
    def opened_with(self) -> str:
        """The unlock key in force, "" if none is."""
        return self._opened_with

    @property
    def wrapping_key(self) -> bytes | None:
        """The key to wrap with, None if things are to be written in clear."""
        return self._keys[0] if self._keys and self._opened_with else None

    @property
    def keys(self) -> tuple[bytes, ...]:
        """Every key that something on disk may be wrapped with."""
        return self._keys

    @property
    def is_changing(self) -> bool:
        """Whether a change was begun and not completed."""
        return self._file is not None and not self._file.is_complete

    def unlock(self, unlock_key: str) -> None:
        """Open the file.

        Raises:
            InvalidArgument: the key has not the form of one.
            Unauthenticated: it is another cluster's, or was replaced.
        """
        cipher_key = parse_unlock_key(unlock_key)
        assert self._file is not None, "nothing is locked"
        try:
            self._keys = _split(_unseal(cipher_key, self._file.sealed, b"node keys"))
        except InvalidTag:
            raise Unauthenticated("swarm could not be unlocked: invalid key provided") from None
        self._opened_with = unlock_key.strip()

    def begin(self, unlock_key: str) -> None:
        """Begin to wrap with a fresh node key under `unlock_key`; what was wrapped stays readable.

        Raises:
            FatalStorageError: the file cannot be written.
        """
        keys = (secrets.token_bytes(_KEY_BYTES), *self._keys)
        self._write_sealed(keys, unlock_key)

    def begin_to_open(self) -> None:
        """Begin to write in clear: from here on no unlock key is needed; errors as `begin`."""
        if self._file is not None:
            self._write(_File(clear=b"".join(self._keys)))
        self._opened_with = ""

    def complete(self) -> None:
        """Forget what nothing is wrapped with any more; errors as `begin`."""
        if self._opened_with:
            self._write_sealed(self._keys[:1], self._opened_with, is_complete=True)
            return
        self._keys = ()
        self._file = None
        try:
            self._path.unlink(missing_ok=True)
            _sync(self._path.parent)
        except OSError as error:
            raise FatalStorageError(f"{self._path}: cannot be removed: {error}") from error

    def forget(self) -> None:
        """Know nothing any more, because the node left the cluster and its files are gone."""
        self._file, self._keys, self._opened_with = None, (), ""

    def wrap(self, data: bytes, purpose: bytes) -> bytes | None:
        """Return data sealed with the node key, None if it is to be written in clear."""
        key = self.wrapping_key
        return None if key is None else _seal(key, data, purpose)

    def unwrap(self, sealed: bytes, purpose: bytes) -> bytes | None:
        """Undo `wrap`; None if it was done with none of the keys, or the bytes were changed."""
        for key in self._keys:
            try:
                return _unseal(key, sealed, purpose)
            except InvalidTag:
                continue
        return None

    def _write_sealed(
        self, keys: tuple[bytes, ...], unlock_key: str, *, is_complete: bool = False
    ) -> None:
        sealed = _seal(parse_unlock_key(unlock_key), b"".join(keys), b"node keys")
        self._write(_File(sealed=sealed, is_complete=is_complete))
        self._keys, self._opened_with = keys, unlock_key

    def _write(self, file: _File) -> None:
        fresh = self._path.with_name(FILE_NAME + ".new")
        try:
            fresh.unlink(missing_ok=True)
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as output:
                output.write(msgspec.json.encode(file))
                output.flush()
                os.fsync(output.fileno())
            fresh.rename(self._path)
            _sync(self._path.parent)
        except OSError as error:
            raise FatalStorageError(f"{self._path}: cannot be written: {error}") from error
        self._file = file

    def _read(self) -> _File | None:
        try:
            file = msgspec.json.decode(self._path.read_bytes(), type=_File)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, binascii.Error) as error:
            raise FatalStorageError(
                f"{self._path}: cannot be read: {error}; put back a copy of the file"
            ) from error
        if file.format != FORMAT or len(file.clear) % _KEY_BYTES:
            raise FatalStorageError(f"{self._path}: not a node key of this version")
        return file


def _split(keys: bytes) -> tuple[bytes, ...]:
    return tuple(keys[at : at + _KEY_BYTES] for at in range(0, len(keys), _KEY_BYTES))


def _seal(key: bytes, data: bytes, purpose: bytes) -> bytes:
    # A key of its own each time, so that neither it nor a nonce is ever used twice.
    salt = os.urandom(_KEY_BYTES)
    return salt + AESGCM(_derived(key, salt)).encrypt(bytes(_NONCE_BYTES), data, purpose)


def _unseal(key: bytes, sealed: bytes, purpose: bytes) -> bytes:
    salt, rest = sealed[:_KEY_BYTES], sealed[_KEY_BYTES:]
    return AESGCM(_derived(key, salt)).decrypt(bytes(_NONCE_BYTES), rest, purpose)


def _derived(key: bytes, salt: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=salt, info=b"node lock").derive(key)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
