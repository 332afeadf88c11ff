"""TLS contexts of the join protocol; gRPC has its own TLS."""

from __future__ import annotations

import os
import ssl

from cluster.ca.credentials import NodeCredentials


def server_context(credentials: NodeCredentials) -> ssl.SSLContext:
    """Return a context that shows the node's certificate and asks for none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # the ssl module reads keys from files only: this one exists in memory alone
    handle = os.memfd_create("node-key", os.MFD_CLOEXEC)
    try:
        os.write(handle, (credentials.key_pem + credentials.certificate_pem).encode())
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
    return context


def client_context(root_ca_pem: str) -> ssl.SSLContext:
    """Return a context that believes certificates signed by that root.

    The caller checks the role in the certificate in place of a host name: nodes are known by
    what they are, not by where they are.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.load_verify_locations(cadata=root_ca_pem)
    return context


def unverified_client_context() -> ssl.SSLContext:
    """Return a context that believes everybody, for fetching what is then checked by a digest."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
