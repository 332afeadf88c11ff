"""Credentials with which nodes pull the image of a service."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from cluster.errors import InvalidArgument
from cluster.model.ids import ServiceId
from cluster.model.spec_struct import ObjectStruct

_URL_SAFE = str.maketrans("-_", "+/")


class RegistryAuth(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What a client sent as ``X-Registry-Auth``: base64 of a JSON object.

    It is no part of a spec: nobody is shown it, a change of it replaces no task, and an agent
    never writes it down.
    """

    encoded: str

    def __repr__(self) -> str:
        """Hide the credentials: this may end in a log or an error."""
        return "RegistryAuth(<hidden>)"


class RegistryLogin(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The credentials of a service, as its nodes are told."""

    service_id: ServiceId
    auth: RegistryAuth


def decode_registry_auth(encoded: str) -> dict[str, Any]:
    """Return what an ``X-Registry-Auth`` holds; either alphabet of base64 will do.

    Raises:
        InvalidArgument: it is not base64 of a JSON object; the message shows nothing of it.
    """
    text = encoded.translate(_URL_SAFE).rstrip("=")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        content = msgspec.json.decode(data or b"{}")
    except (binascii.Error, ValueError, msgspec.DecodeError):
        content = None
    if not isinstance(content, dict):
        raise InvalidArgument(
            "X-Registry-Auth: is not base64 of a JSON object: give username, password and "
            "serveraddress, or identitytoken"
        )
    return content
