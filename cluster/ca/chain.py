"""Certificates in PEM as texts: taken apart, compared, and followed up to a root."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

_BLOCK: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----\r?\n.*?-----END CERTIFICATE-----\r?\n?", re.DOTALL
)
_LONGEST_CHAIN: Final = 16


def certificates_in(pem: str) -> list[str]:
    """Return the certificates of a text, each with a newline at its end."""
    return [block.strip() + "\n" for block in _BLOCK.findall(pem)]


def digest_of(certificate_pem: str) -> str:
    """Return the SHA-256 of the first certificate's DER form, in hex.

    Raises:
        ValueError: it is no certificate.
    """
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


@functools.lru_cache(maxsize=4096)
def is_signed_by(certificate_pem: str, issuer_pem: str) -> bool:
    """Whether the issuer's key has signed the first certificate, and bears the issuer's name.

    Raises:
        ValueError: one of them is no certificate.
    """
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    issuer = x509.load_pem_x509_certificate(issuer_pem.encode())
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 - the library raises errors of several kinds for "no"
        return False
    return True


def is_self_signed(certificate_pem: str) -> bool:
    """Whether it is a root; raises as `is_signed_by`."""
    return is_signed_by(certificate_pem, certificate_pem)


def leads_to(chain_pem: str, roots_pem: str) -> bool:
    """Whether a certificate, with the ones that follow it, leads up to one of the roots.

    Raises:
        ValueError: one of them is no certificate.
    """
    leaf, *between = certificates_in(chain_pem)
    roots = certificates_in(roots_pem)
    return _leads_to(leaf, between, roots, _LONGEST_CHAIN)


def _leads_to(leaf: str, between: Sequence[str], roots: Sequence[str], depth: int) -> bool:
    if any(is_signed_by(leaf, root) for root in roots):
        return True
    return depth > 0 and any(
        is_signed_by(leaf, issuer) and _leads_to(issuer, between, roots, depth - 1)
        for issuer in between
        if issuer != leaf
    )


@functools.lru_cache(maxsize=64)
def issuer_info(certificate_pem: str) -> tuple[str, str]:
    """Return an issuer's subject and public key as the Engine API shows them: DER in base64.

    Raises:
        ValueError: it is no certificate.
    """
    issuer = x509.load_pem_x509_certificate(certificate_pem.encode())
    public_key = issuer.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return _base64(issuer.subject.public_bytes()), _base64(public_key)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
