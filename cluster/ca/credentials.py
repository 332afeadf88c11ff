"""What a node proves itself with: its key, its certificate and the root it trusts."""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cluster.ca.identity import NodeIdentity, identity_of
from cluster.model.node import TlsInfo
from cluster.model.spec_struct import ObjectStruct


class NodeCredentials(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """PEM texts; `key_pem` is a secret and never leaves the node."""

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
    """Whether the certificate is that of the key and was signed by the root.

    Raises:
        ValueError: one of the texts is no PEM of its kind.
    """
    key = serialization.load_pem_private_key(credentials.key_pem.encode(), password=None)
    certificate = x509.load_pem_x509_certificate(credentials.certificate_pem.encode())
    root = x509.load_pem_x509_certificate(credentials.root_ca_pem.encode())
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return False
    try:
        certificate.verify_directly_issued_by(root)
    except Exception:  # noqa: BLE001 - the library raises errors of several kinds for "no"
        return False
    return certificate.public_key() == key.public_key()


def tls_info(root_ca_pem: str) -> TlsInfo:
    """Describe the CA that a node trusts, as the Engine API shows it."""
    root = x509.load_pem_x509_certificate(root_ca_pem.encode())
    public_key = root.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return TlsInfo(
        trust_root=root_ca_pem,
        cert_issuer_subject=base64.b64encode(root.subject.public_bytes()).decode(),
        cert_issuer_public_key=base64.b64encode(public_key).decode(),
    )
