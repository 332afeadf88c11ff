"""A root that somebody else has made: taken if it can do the work, otherwise refused by name."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from cluster.ca.authority import Authority, imported_root_ca, new_key_and_request
from cluster.ca.chain import is_signed_by, leads_to
from cluster.clock import SystemClock
from cluster.errors import InvalidArgument
from cluster.model.units import SECOND_NS
from tests.support.identities import CLUSTER_ID, root_ca

NOW = SystemClock().now()
DAY = datetime.timedelta(days=1)


def pem_of(key, passphrase=None) -> str:
    encryption = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, encryption
    ).decode()


def made(*, key=None, signer=None, is_ca=True, begins=-1, ends=30, ski=None) -> tuple[str, str]:
    key = key or ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example Corp Root")])
    now = datetime.datetime.fromtimestamp(NOW // SECOND_NS, tz=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins * DAY)
        .not_valid_after(now + ends * DAY)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if ski:
        builder = builder.add_extension(x509.SubjectKeyIdentifier(ski), critical=False)
    certificate = builder.sign(signer or key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), pem_of(key)


def test_a_root_of_ones_own_signs_and_is_cross_signed() -> None:
    # With an identifier of its own, which certificates must repeat to be found.
    root = imported_root_ca(*made(ski=b"chosen freely"), NOW)
    _, csr = new_key_and_request()
    certificate = Authority(root).sign(
        csr,
        node_id="n",
        role="worker",
        cluster_id=CLUSTER_ID,
        validity_ns=SECOND_NS,
        now=NOW,
    )
    assert is_signed_by(certificate, root.cert_pem)
    identifier = x509.load_pem_x509_certificate(certificate.encode()).extensions
    found = identifier.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert found.key_identifier == b"chosen freely"
    old = root_ca()
    cross = Authority(old).cross_sign(root.cert_pem)
    assert leads_to(certificate + cross, old.cert_pem)
    assert not leads_to(certificate, old.cert_pem)


@pytest.mark.parametrize(
    ("cert", "key", "why"),
    [
        ("nonsense", made()[1], "SigningCACert: not readable"),
        (made()[0], "nonsense", "SigningCAKey: not readable"),
        (
            made()[0],
            pem_of(ec.generate_private_key(ec.SECP256R1()), b"passphrase"),
            "SigningCAKey: not readable as a PEM key without passphrase",
        ),
        (made()[0], made()[1], "not the key of"),
        (
            made()[0],
            pem_of(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
            "must be an ECDSA key",
        ),
        (*made(is_ca=False), "is not a CA"),
        (*made(signer=ec.generate_private_key(ec.SECP256R1())), "must be a root"),
        (*made(begins=-9, ends=-1), "not now"),
        (*made(begins=2), "not now"),
    ],
)
def test_what_cannot_do_the_work_is_refused(cert: str, key: str, why: str) -> None:
    with pytest.raises(InvalidArgument, match=why) as caught:
        imported_root_ca(cert, key, NOW)
    assert "PRIVATE" not in str(caught.value)
