"""What a node proves itself with: its key, its certificate and the root it trusts."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cluster.ca.chain import certificates_in, is_signed_by, issuer_info, leads_to
from cluster.ca.identity import NodeIdentity, identity_of
from cluster.model.node import TlsInfo
from cluster.model.spec_struct import ObjectStruct


class NodeCredentials(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """PEM texts; `key_pem` is a secret and never leaves the node.

    `certificate_pem` is the node's certificate and, after a change of roots, what leads from it up
    to older roots that other nodes may still trust.
    """

    key_pem: str
    certificate_pem: str
    root_ca_pem: str

    @property
    def identity(self) -> NodeIdentity:
        """Who the certificate says this node is."""
        return identity_of(self.certificate_pem)

    def __repr__(self) -> str:
        """Name the credentials without the key."""
        return f"NodeCredentials(node={self.identity.node_id!r})"


def belong_together(credentials: NodeCredentials) -> bool:
    """Whether the certificate is that of the key and leads up to the root.

    Raises:
        ValueError: one of the texts is no PEM of its kind.
    """
    key = serialization.load_pem_private_key(credentials.key_pem.encode(), password=None)
    certificate = x509.load_pem_x509_certificate(credentials.certificate_pem.encode())
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return False
    if not leads_to(credentials.certificate_pem, credentials.root_ca_pem):
        return False
    return certificate.public_key() == key.public_key()


def encrypted_key(key_pem: str, wrapping: bytes) -> str:
    """Return a private key encrypted with a key of 32 bytes, as PEM (PKCS #8)."""
    key = serialization.load_pem_private_key(key_pem.encode(), password=None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(wrapping.hex().encode()),
    ).decode()


def decrypted_key(key_pem: str, wrapping: bytes) -> str | None:
    """Undo `encrypted_key`; None if it was done with another key."""
    try:
        key = serialization.load_pem_private_key(key_pem.encode(), wrapping.hex().encode())
    except ValueError:
        return None
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def tls_info(credentials: NodeCredentials) -> TlsInfo:
    """Describe which CA the node trusts and which has signed for it, as the Engine API does."""
    leaf, *between = certificates_in(credentials.certificate_pem)
    candidates = [*between, *certificates_in(credentials.root_ca_pem)]
    issuer = next(one for one in candidates if is_signed_by(leaf, one))
    subject, public_key = issuer_info(issuer)
    return TlsInfo(
        trust_root=credentials.root_ca_pem,
        cert_issuer_subject=subject,
        cert_issuer_public_key=public_key,
    )
