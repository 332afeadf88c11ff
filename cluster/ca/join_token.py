"""Join tokens: what a new node needs to know to trust a cluster and to be trusted by it.

``SWMTKN-1-<digest>-<secret>``: the SHA-256 of the root certificate (DER) in 50 digits of base 36,
then 16 random bytes in 25.  The first half lets the joining node recognise the true cluster; the
second half, different for workers and managers, lets the cluster recognise the node.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from cluster.errors import InvalidArgument
from cluster.model.ids import ID_ALPHABET
from cluster.model.node import Role
from cluster.model.spec_struct import ObjectStruct

_PREFIX: Final = "SWMTKN-1-"
_DIGEST_DIGITS: Final = 50
_SECRET_DIGITS: Final = 25
_FORM: Final = re.compile(
    rf"SWMTKN-1-([0-9a-z]{{{_DIGEST_DIGITS}}})-([0-9a-z]{{{_SECRET_DIGITS}}})"
)


class JoinToken(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A token taken apart; `secret` is one."""

    root_digest: str
    secret: str

    def __repr__(self) -> str:
        """Show that it is a token, not which."""
        return "JoinToken(...)"


def new_join_token(root_ca_pem: str) -> str:
    """Make a token with a fresh secret for the cluster of that root."""
    secret = int.from_bytes(secrets.token_bytes(16), "big")
    return join_token_of(root_ca_pem, _base36(secret, _SECRET_DIGITS))


def join_token_of(root_ca_pem: str, secret: str) -> str:
    """Return the token with that secret, of 25 digits of base 36, for the cluster of that root."""
    return f"{_PREFIX}{root_digest(root_ca_pem)}-{secret}"


def parse_join_token(text: str) -> JoinToken:
    """Take a token apart.

    Raises:
        InvalidArgument: it has not the form of one; the text is not repeated.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise InvalidArgument(
            "invalid join token: it must look like SWMTKN-1-<50 characters>-<25 characters>;"
            " a manager prints it with `stack cluster token`"
        )
    return JoinToken(root_digest=found[1], secret=found[2])


def root_digest(root_ca_pem: str) -> str:
    """Return the digest of a root certificate as it stands in tokens.

    Raises:
        InvalidArgument: it is no certificate.
    """
    try:
        certificate = x509.load_pem_x509_certificate(root_ca_pem.encode())
    except ValueError as error:
        raise InvalidArgument("the root certificate is not readable as PEM") from error
    digest = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()
    return _base36(int.from_bytes(digest, "big"), _DIGEST_DIGITS)


def is_root_of(token: JoinToken, root_ca_pem: str) -> bool:
    """Whether the token was made for the cluster of that root; in constant time."""
    return hmac.compare_digest(token.root_digest, root_digest(root_ca_pem))


def role_for(text: str, *, worker_token: str, manager_token: str) -> Role:
    """Return the role that a token gives; in constant time.

    Raises:
        InvalidArgument: it is neither of the two tokens.
    """
    given = text.strip().encode()
    # both are compared in any case, so that the time tells nothing
    is_worker = hmac.compare_digest(given, worker_token.encode())
    is_manager = hmac.compare_digest(given, manager_token.encode())
    if is_manager:
        return "manager"
    if is_worker:
        return "worker"
    raise InvalidArgument(
        "invalid join token: it is none of this cluster's, or was replaced by a newer one;"
        " a manager prints the valid ones with `stack cluster token`"
    )


def _base36(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 36)
        digits.append(ID_ALPHABET[digit])
    return "".join(reversed(digits))
