"""The cluster's own certificate authority: makes a root and signs the certificates of nodes.

A request for a certificate contributes nothing but its public key: the authority writes subject,
names, usage and validity itself, so that no request can claim another node, role or cluster.
"""

from __future__ import annotations

import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.ca.chain import is_self_signed
from cluster.ca.identity import ROLE_NAMES
from cluster.errors import InvalidArgument
from cluster.model.cluster import RootCa
from cluster.model.ids import ClusterId, NodeId
from cluster.model.node import Role
from cluster.model.units import SECOND_NS, DurationNs, Timestamp

BACKDATE_NS: Final = 3600 * SECOND_NS
"""Certificates hold from an hour before they are made: the clocks of nodes differ."""

_ROOT_VALIDITY = datetime.timedelta(days=20 * 365 + 5)
_ROOT_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "swarm-ca")])


def new_root_ca(now: Timestamp) -> RootCa:
    """Make a root: an ECDSA P-256 key and its own certificate, valid for 20 years."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_ROOT_NAME)
        .issuer_name(_ROOT_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_date(Timestamp(now - BACKDATE_NS)))
        .not_valid_after(_date(now) + _ROOT_VALIDITY)
        # later roots, cross-signed by this one, may stand between
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(is_authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return RootCa(cert_pem=_pem(certificate), key_pem=_key_pem(key))


def imported_root_ca(cert_pem: str, key_pem: str, now: Timestamp) -> RootCa:
    """Take a root that was made elsewhere.

    Raises:
        InvalidArgument: it is no root of a kind that can sign for nodes, has ended, or the key is
            another one's; the message says which.
    """
    try:
        certificate = x509.load_pem_x509_certificate(cert_pem.encode())
    except ValueError as error:
        raise InvalidArgument(
            "CAConfig.SigningCACert: not readable as a PEM certificate"
        ) from error
    try:
        key = serialization.load_pem_private_key(key_pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidArgument(
            "CAConfig.SigningCAKey: not readable as a PEM key without passphrase"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.key_size < 256:
        raise InvalidArgument("CAConfig.SigningCAKey: must be an ECDSA key of at least 256 bits")
    if certificate.public_key() != key.public_key():
        raise InvalidArgument("CAConfig.SigningCAKey: is not the key of SigningCACert")
    if not _may_sign(certificate):
        raise InvalidArgument("CAConfig.SigningCACert: is not a CA that may sign certificates")
    if not is_self_signed(cert_pem):
        raise InvalidArgument("CAConfig.SigningCACert: must be a root, signed by its own key")
    if not certificate.not_valid_before_utc <= _date(now) < certificate.not_valid_after_utc:
        raise InvalidArgument(
            "CAConfig.SigningCACert: holds from "
            f"{certificate.not_valid_before_utc} to {certificate.not_valid_after_utc}, not now"
        )
    return RootCa(cert_pem=_pem(certificate), key_pem=_key_pem(key))


def new_key_and_request() -> tuple[str, str]:
    """Make a node's private key and the request to have it certified.

    Returns:
        The key (a secret) and the request, both as PEM.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))  # the authority writes the subject
        .sign(key, hashes.SHA256())
    )
    return _key_pem(key), request.public_bytes(serialization.Encoding.PEM).decode()


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return constraints.ca
    return constraints.ca and usage.key_cert_sign


class Authority:
    """Signs with one root."""

    def __init__(self, root: RootCa) -> None:
        """Load the root's certificate and key.

        Raises:
            ValueError: they are no PEM, or the key is no ECDSA key.
        """
        key = serialization.load_pem_private_key(root.key_pem.encode(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the root CA's key is no ECDSA key")  # noqa: TRY004 - a wrong value
        self._key = key
        self._certificate = x509.load_pem_x509_certificate(root.cert_pem.encode())

    def cross_sign(self, root_pem: str) -> str:
        """Certify the key of another root, so that whoever trusts this one believes that one.

        It ends when the first of both roots does.
        """
        root = x509.load_pem_x509_certificate(root_pem.encode())
        own = self._certificate
        certificate = (
            x509.CertificateBuilder()
            .subject_name(root.subject)
            .issuer_name(own.subject)
            .public_key(root.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(root.not_valid_before_utc, own.not_valid_before_utc))
            .not_valid_after(min(root.not_valid_after_utc, own.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(is_authority=True), critical=True)
            .add_extension(_subject_key_identifier(root), critical=False)
            .add_extension(_authority_key_identifier(own), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return _pem(certificate)

    def sign(
        self,
        csr_pem: str,
        *,
        node_id: NodeId,
        role: Role,
        cluster_id: ClusterId,
        validity_ns: DurationNs,
        now: Timestamp,
    ) -> str:
        """Return a node's certificate as PEM for the key of a request.

        Args:
            csr_pem: the request; only its public key is used.
            node_id: becomes the common name, and a name the node may be called by in TLS.
            role: becomes the organisational unit, and another such name.
            cluster_id: becomes the organisation.
            validity_ns: how long it holds from `now`, at most until the root ends.
            now: the time of signing.

        Raises:
            InvalidArgument: the request is no PEM, its key is no ECDSA key of at least 256 bits,
                or it is not signed with that key.
        """
        public_key = _requested_key(csr_pem)
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster_id),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, ROLE_NAMES[role]),
                x509.NameAttribute(NameOID.COMMON_NAME, node_id),
            ]
        )
        ends = min(_date(Timestamp(now + validity_ns)), self._certificate.not_valid_after_utc)
        names = x509.SubjectAlternativeName([x509.DNSName(ROLE_NAMES[role]), x509.DNSName(node_id)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_date(Timestamp(now - BACKDATE_NS)))
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(is_authority=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
                ),
                critical=False,
            )
            .add_extension(names, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(_authority_key_identifier(self._certificate), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return _pem(certificate)


def _requested_key(csr_pem: str) -> ec.EllipticCurvePublicKey:
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
    except ValueError as error:
        raise InvalidArgument("the certificate request is not readable as PEM") from error
    public_key = request.public_key()
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or public_key.curve.key_size < 256:
        raise InvalidArgument(
            "the certificate request's key must be an ECDSA key of at least 256 bits"
        )
    if not request.is_signature_valid:
        raise InvalidArgument("the certificate request is not signed with its own key")
    return public_key


def _subject_key_identifier(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())


def _authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    # as the issuer itself writes it: there is more than one way to compute it
    identifier = _subject_key_identifier(issuer)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _date(moment: Timestamp) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(moment // SECOND_NS, tz=datetime.UTC)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
