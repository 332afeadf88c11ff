"""Which TCP addresses are accepted, and what they need."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.daemon.tcp_hosts import tcp_endpoints
from cluster.errors import InvalidArgument
from tests.support.certificates import TestAuthority


def endpoints(*hosts: str, folder: Path | None = None, is_plain: bool = False):
    return tcp_endpoints(
        hosts,
        authority=folder and folder / "ca.pem",
        certificate=folder and folder / "cert.pem",
        key=folder and folder / "key.pem",
        is_plain=is_plain,
    )


def test_addresses_and_ports(tmp_path: Path) -> None:
    files = TestAuthority().fill(tmp_path / "tls", address="127.0.0.1")
    found = endpoints("tcp://0.0.0.0", "tcp://[::1]:9", folder=files)
    assert [(one.host, one.port) for one in found] == [("0.0.0.0", 2376), ("::1", 9)]
    assert all(one.context is not None for one in found)
    assert endpoints() == ()
    assert endpoints("tcp://127.0.0.1", is_plain=True) == (("127.0.0.1", 2375, None),)


@pytest.mark.parametrize(
    ("hosts", "has_files", "is_plain", "reason"),
    [
        (("tcp://10.0.0.1:2376",), False, False, "--host: needs --tlscacert, --tlscert, --tlskey"),
        (("tcp://10.0.0.1:2375",), False, True, "--insecure-tcp: 10.0.0.1 can be reached"),
        (("tcp://0.0.0.0:2375",), False, True, "--insecure-tcp: 0.0.0.0 can be reached"),
        (("tcp://127.0.0.1",), True, True, "--insecure-tcp: serves without TLS"),
        (("unix:///x",), True, False, "--host: 'unix:///x' is not tcp://"),
        (("tcp://example.org:1",), True, False, "--host: 'tcp://example.org:1' is not tcp://"),
        (("tcp://127.0.0.1:x",), True, False, "--host: 'tcp://127.0.0.1:x' is not tcp://"),
        ((), True, False, "--host: without an address"),
    ],
)
def test_refused(
    hosts: tuple[str, ...], has_files: bool, is_plain: bool, reason: str, tmp_path: Path
) -> None:
    files = TestAuthority().fill(tmp_path / "tls", address="127.0.0.1") if has_files else None
    with pytest.raises(InvalidArgument) as caught:
        endpoints(*hosts, folder=files, is_plain=is_plain)
    assert str(caught.value).startswith(reason)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    files = TestAuthority().fill(tmp_path / "tls", address="127.0.0.1")
    (files / "key.pem").write_text("no key")
    with pytest.raises(InvalidArgument, match=r"cert\.pem and .*key\.pem: no certificate"):
        endpoints("tcp://127.0.0.1", folder=files)
    (files / "ca.pem").unlink()
    with pytest.raises(InvalidArgument, match=r"ca\.pem: no certificates of an authority"):
        endpoints("tcp://127.0.0.1", folder=files)
