"""What a client sends to have a cluster copied or restored."""

from __future__ import annotations

import base64
import binascii

from cluster.api.local_node import RestoreRequest
from cluster.api.payloads.decoding import decode_body
from cluster.api.payloads.nodes import parse_availability
from cluster.errors import InvalidArgument
from cluster.model.spec_struct import SpecStruct


class _BackupBody(SpecStruct, frozen=True, kw_only=True, gc=False):
    passphrase: str = ""


class _RestoreHeader(SpecStruct, frozen=True, kw_only=True, gc=False):
    passphrase: str = ""
    listen_addr: str = ""
    advertise_addr: str = ""
    availability: str = ""


def decode_backup(body: bytes) -> str:
    """Return the passphrase to seal a backup with.

    Raises:
        InvalidArgument: there is none.
    """
    given = decode_body(body, _BackupBody)
    if not given.passphrase:
        raise InvalidArgument("Passphrase: it is required")
    return given.passphrase


def decode_restore(header: str) -> RestoreRequest:
    """Return how a cluster is to be restored, from a header: JSON in base64 for URLs.

    Raises:
        InvalidArgument: it cannot be read, or a member is wrong.
    """
    try:
        text = base64.urlsafe_b64decode(header.encode())
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument("X-Stackyard-Restore: the header is no base64") from error
    given = decode_body(text, _RestoreHeader)
    if not given.passphrase:
        raise InvalidArgument("Passphrase: it is required")
    return RestoreRequest(
        passphrase=given.passphrase,
        listen_addr=given.listen_addr,
        advertise_addr=given.advertise_addr,
        availability=parse_availability(given.availability or "active"),
    )
