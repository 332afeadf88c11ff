"""The handler by which members renew their certificates."""

from __future__ import annotations

from cluster.ca.identity import NodeIdentity
from cluster.ca.issuer import CertificateIssuer
from cluster.rpc import methods
from cluster.rpc.messages import CertificateResponse, RenewCertificateRequest
from cluster.rpc.server import RpcServer


class CertificateService:
    """Serves ``Certificates/Renew``."""

    def __init__(self, issuer: CertificateIssuer) -> None:
        """Renew by means of `issuer`."""
        self._issuer = issuer

    def serve_on(self, server: RpcServer) -> None:
        """Add the handler to a server that is not started yet."""
        server.handle(methods.RENEW_CERTIFICATE, self.renew)

    async def renew(
        self, caller: NodeIdentity, request: RenewCertificateRequest
    ) -> CertificateResponse:
        """Issue a new certificate to the caller."""
        issued = await self._issuer.renew(caller, request.csr_pem)
        return CertificateResponse(
            node_id=issued.node_id,
            certificate_pem=issued.certificate_pem,
            root_ca_pem=issued.root_ca_pem,
            raft_id=issued.raft_id,
        )
