"""Typed identifiers: 25 characters of [0-9a-z], as Docker Swarm's clients expect them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NewType

NodeId = NewType("NodeId", str)
ServiceId = NewType("ServiceId", str)
TaskId = NewType("TaskId", str)
NetworkId = NewType("NetworkId", str)
SecretId = NewType("SecretId", str)
ConfigId = NewType("ConfigId", str)
ClusterId = NewType("ClusterId", str)
StackId = NewType("StackId", str)
RevisionId = NewType("RevisionId", str)
TokenId = NewType("TokenId", str)
AuditId = NewType("AuditId", str)

NewId = Callable[[], str]
"""Makes a fresh identifier; given to the cores, which roll no dice themselves."""

ID_LENGTH = 25
ID_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def id_from_int(number: int) -> str:
    """Spell a non-negative number below 36**25 as an identifier of 25 characters.

    Args:
        number: at least 129 random bits, so that identifiers never collide.
    """
    digits = []
    for _ in range(ID_LENGTH):
        number, digit = divmod(number, 36)
        digits.append(ID_ALPHABET[digit])
    return "".join(reversed(digits))
