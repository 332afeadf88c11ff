from __future__ import annotations

import msgspec

from cluster.api.convert.cluster import cluster_json, swarm_json
from cluster.api.payloads.decoding import convert_tree
from cluster.model.cluster import Cluster, ClusterSpec, RootCa, RootRotation
from cluster.model.ids import ClusterId
from tests.unit.cluster.api.golden_files import as_json, golden, meta

SHOWN = golden("swarm-inspect")
ISSUER = SHOWN["TLSInfo"]["CertIssuerSubject"], SHOWN["TLSInfo"]["CertIssuerPublicKey"]


def _cluster() -> Cluster:
    return Cluster(
        id=ClusterId(SHOWN["ID"]),
        meta=meta(SHOWN),
        spec=convert_tree(SHOWN["Spec"], ClusterSpec),
        root_ca=RootCa(cert_pem=SHOWN["TLSInfo"]["TrustRoot"], key_pem="secret"),
        worker_token=SHOWN["JoinTokens"]["Worker"],
        manager_token=SHOWN["JoinTokens"]["Manager"],
    )


def test_the_cluster_looks_as_recorded() -> None:
    assert as_json(swarm_json(_cluster(), ISSUER)) == SHOWN


def test_pools_are_shown_as_they_were_given() -> None:
    cluster = msgspec.structs.replace(_cluster(), address_pools=("10.0.0.0/8",))
    assert swarm_json(cluster, ISSUER)["DefaultAddrPool"] == ["10.0.0.0/8"]


def test_secrets_are_not_shown_where_anybody_may_look() -> None:
    shown = str(cluster_json(_cluster(), ISSUER))
    assert "SWMTKN" not in shown
    assert "secret" not in shown


def test_the_name_is_shown_although_it_is_the_default() -> None:
    cluster = msgspec.structs.replace(_cluster(), spec=ClusterSpec())
    assert cluster_json(cluster, ISSUER)["Spec"]["Name"] == "default"


def test_while_a_root_is_on_its_way_in_the_old_one_is_trusted() -> None:
    fresh = RootCa(cert_pem="new", key_pem="secret")
    rotation = RootRotation(root=fresh, cross_signed_pem="cross")
    cluster = msgspec.structs.replace(_cluster(), root_rotation=rotation)
    shown = cluster_json(cluster, ("subject", "key"))
    assert shown["RootRotationInProgress"] is True
    assert shown["TLSInfo"] == {
        "TrustRoot": SHOWN["TLSInfo"]["TrustRoot"],
        "CertIssuerSubject": "subject",
        "CertIssuerPublicKey": "key",
    }
    assert "secret" not in str(shown)
