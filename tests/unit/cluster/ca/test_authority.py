"""The root and what it signs: subjects are the authority's, never the request's."""

from __future__ import annotations

import base64
import datetime
import os
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from cluster.ca.authority import Authority, new_key_and_request, new_root_ca
from cluster.ca.credentials import NodeCredentials, belong_together, tls_info
from cluster.ca.identity import identity_of
from cluster.errors import InvalidArgument, Unauthenticated
from cluster.model.ids import ClusterId, NodeId
from cluster.model.units import SECOND_NS
from tests.support.identities import root_ca
from tests.support.manual_clock import START

HOUR = 3600 * SECOND_NS


def sign(csr: str, role="worker", validity_ns=24 * HOUR) -> str:
    return Authority(root_ca()).sign(
        csr,
        node_id=NodeId("n1"),
        role=role,
        cluster_id=ClusterId("c1"),
        validity_ns=validity_ns,
        now=START,
    )


def request(key, subject: str = "root") -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    csr = builder.sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def test_the_root_is_an_ecdsa_authority_for_twenty_years() -> None:
    root = x509.load_pem_x509_certificate(new_root_ca(START).cert_pem.encode())
    assert root.subject.rfc4514_string() == "CN=swarm-ca"
    assert isinstance(root.public_key().curve, ec.SECP256R1)
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    years = (root.not_valid_after_utc - root.not_valid_before_utc) / datetime.timedelta(days=365.25)
    assert years == pytest.approx(20, abs=0.01)


def test_a_certificate_names_node_role_and_cluster() -> None:
    _, csr = new_key_and_request()
    certificate = sign(csr, "manager")
    identity = identity_of(certificate)
    assert (identity.node_id, identity.role, identity.cluster_id) == ("n1", "manager", "c1")
    assert identity.not_before == START - HOUR
    assert identity.not_after == START + 24 * HOUR
    names = x509.load_pem_x509_certificate(certificate.encode()).extensions
    alternative = names.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternative.get_values_for_type(x509.DNSName) == ["swarm-manager", "n1"]


def test_a_malicious_request_gets_nothing_it_asks_for() -> None:
    certificate = sign(request(ec.generate_private_key(ec.SECP256R1()), "swarm-manager"))
    parsed = x509.load_pem_x509_certificate(certificate.encode())
    assert identity_of(certificate).role == "worker"
    assert not parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP224R1())],
    ids=["rsa", "p224"],
)
def test_other_keys_are_refused(key) -> None:
    with pytest.raises(InvalidArgument, match="ECDSA key of at least 256 bits"):
        sign(request(key))


def test_a_request_signed_by_another_key_is_refused() -> None:
    _, csr = new_key_and_request()
    der = bytearray(ssl.PEM_cert_to_DER_cert(csr.replace("CERTIFICATE REQUEST", "CERTIFICATE")))
    der[-1] ^= 1
    forged = ssl.DER_cert_to_PEM_cert(bytes(der)).replace("CERTIFICATE", "CERTIFICATE REQUEST")
    with pytest.raises(InvalidArgument, match="not signed with its own key"):
        sign(forged)


def test_a_certificate_does_not_outlive_its_root() -> None:
    _, csr = new_key_and_request()
    root = x509.load_pem_x509_certificate(root_ca().cert_pem.encode())
    certificate = x509.load_pem_x509_certificate(
        sign(csr, validity_ns=100 * 365 * 24 * HOUR).encode()
    )
    assert certificate.not_valid_after_utc == root.not_valid_after_utc


def test_key_certificate_and_root_belong_together() -> None:
    key, csr = new_key_and_request()
    other_key, _ = new_key_and_request()
    certificate, root = sign(csr), root_ca().cert_pem
    other_root = root_ca("theirs").cert_pem

    def fits(key_pem: str, root_pem: str) -> bool:
        return belong_together(
            NodeCredentials(key_pem=key_pem, certificate_pem=certificate, root_ca_pem=root_pem)
        )

    assert fits(key, root)
    assert not fits(other_key, root)
    assert not fits(key, other_root)


def test_openssl_agrees(tmp_path) -> None:
    _, csr = new_key_and_request()
    (tmp_path / "root.pem").write_text(root_ca().cert_pem)
    certificate = Authority(root_ca()).sign(
        csr,
        node_id=NodeId("n1"),
        role="manager",
        cluster_id=ClusterId("c1"),
        validity_ns=24 * HOUR,
        now=start_of_root(),
    )
    (tmp_path / "node.pem").write_text(certificate)
    for purpose in ("sslserver", "sslclient"):
        subprocess.run(
            ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-verify_hostname",
             "swarm-manager", "-CAfile", tmp_path / "root.pem", tmp_path / "node.pem"],
            check=True, capture_output=True, env={"PATH": os.environ["PATH"]},
        )  # fmt: skip


def start_of_root():
    root = x509.load_pem_x509_certificate(root_ca().cert_pem.encode())
    return int(root.not_valid_before_utc.timestamp()) * SECOND_NS + HOUR


def test_secrets_do_not_show() -> None:
    key, csr = new_key_and_request()
    credentials = NodeCredentials(
        key_pem=key, certificate_pem=sign(csr), root_ca_pem=root_ca().cert_pem
    )
    assert repr(credentials) == "NodeCredentials(node='n1')"
    assert str(credentials) == repr(credentials)


def test_tls_info_describes_the_root() -> None:
    key, csr = new_key_and_request()
    info = tls_info(
        NodeCredentials(key_pem=key, certificate_pem=sign(csr), root_ca_pem=root_ca().cert_pem)
    )
    assert info.trust_root == root_ca().cert_pem
    assert b"swarm-ca" in base64.b64decode(info.cert_issuer_subject, validate=True)
    public_key = serialization.load_der_public_key(base64.b64decode(info.cert_issuer_public_key))
    assert isinstance(public_key, ec.EllipticCurvePublicKey)


@pytest.mark.parametrize("text", ["", "nonsense", root_ca().cert_pem])
def test_what_is_no_nodes_certificate_gives_no_identity(text: str) -> None:
    with pytest.raises(Unauthenticated):
        identity_of(text)
