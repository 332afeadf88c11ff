"""Who a certificate says its holder is."""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from cluster.errors import Unauthenticated
from cluster.model.ids import ClusterId, NodeId
from cluster.model.node import Role
from cluster.model.spec_struct import ObjectStruct
from cluster.model.units import SECOND_NS, Timestamp

ROLE_NAMES: Final[dict[Role, str]] = {"manager": "swarm-manager", "worker": "swarm-worker"}
"""How a role is written in a certificate: its organisational unit and one of its TLS names."""

_ROLES: Final[dict[str, Role]] = {name: role for role, name in ROLE_NAMES.items()}


class NodeIdentity(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The subject of a node's certificate, and when the certificate holds."""

    node_id: NodeId
    role: Role
    cluster_id: ClusterId
    not_before: Timestamp
    not_after: Timestamp


def identity_of(certificate_pem: str) -> NodeIdentity:
    """Read the identity in a certificate; whether to trust the certificate is decided before.

    Raises:
        Unauthenticated: it is not the certificate of a node.
    """
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    except ValueError as error:
        raise Unauthenticated("the certificate is not readable as PEM") from error
    role = _ROLES.get(_name_part(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME))
    if role is None:
        raise Unauthenticated(
            "the certificate's organisational unit is neither swarm-manager nor swarm-worker"
        )
    return NodeIdentity(
        node_id=NodeId(_name_part(certificate, NameOID.COMMON_NAME)),
        role=role,
        cluster_id=ClusterId(_name_part(certificate, NameOID.ORGANIZATION_NAME)),
        not_before=Timestamp(int(certificate.not_valid_before_utc.timestamp()) * SECOND_NS),
        not_after=Timestamp(int(certificate.not_valid_after_utc.timestamp()) * SECOND_NS),
    )


def _name_part(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    parts = certificate.subject.get_attributes_for_oid(oid)
    if len(parts) != 1 or not parts[0].value:
        raise Unauthenticated(f"the certificate's subject must name one {oid._name}")  # noqa: SLF001 - the only spelling of an OID's name
    value = parts[0].value
    return value if isinstance(value, str) else value.decode()
