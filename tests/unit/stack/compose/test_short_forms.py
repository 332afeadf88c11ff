"""Ports and volumes in their short spelling."""

import pytest

from stack.compose.short_forms import port_entries, volume_entries


def port(target: int, **more: object) -> dict[str, object]:
    return {"mode": "ingress", "target": target, "protocol": "tcp", **more}


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("80", [port(80)]),
        ("8080:80", [port(80, published="8080")]),
        ("8080:80/UDP", [{**port(80, published="8080"), "protocol": "udp"}]),
        ("127.0.0.1:8080:80", [port(80, published="8080", host_ip="127.0.0.1")]),
        ("127.0.0.1::80", [port(80, host_ip="127.0.0.1")]),
        ("[::1]:8080:80", [port(80, published="8080", host_ip="::1")]),
        ("::1:8080:80", [port(80, published="8080", host_ip="::1")]),
        ("80-81", [port(80), port(81)]),
        ("90-91:80-81", [port(80, published="90"), port(81, published="91")]),
        ("90-91:80", [port(80, published="90-91")]),
    ],
)
def test_ports(text: str, entries: list[dict[str, object]]) -> None:
    assert list(port_entries(text)) == entries


@pytest.mark.parametrize(
    "text", ["", "web", "80:", "1-2:3-5", "2-1", "80/icmp", "65536", "a:80/tcp/udp"]
)
def test_a_text_that_is_no_port(text: str) -> None:
    with pytest.raises(ValueError, match=r"port|protocol|ranges"):
        list(port_entries(text))


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("/data", {"type": "volume", "target": "/data", "volume": {}}),
        ("data:/data/", {"type": "volume", "source": "data", "target": "/data", "volume": {}}),
        (
            "./d:/d:ro",
            {
                "type": "bind",
                "source": "./d",
                "target": "/d",
                "read_only": True,
                "bind": {"create_host_path": True},
            },
        ),
        (
            "C:\\d:/d",
            {
                "type": "bind",
                "source": "C:\\d",
                "target": "/d",
                "bind": {"create_host_path": True},
            },
        ),
        (
            "/d:/d:rw,rshared,fast",
            {
                "type": "bind",
                "source": "/d",
                "target": "/d",
                "read_only": False,
                "bind": {"propagation": "rshared", "create_host_path": True},
            },
        ),
        (
            "data:/d:nocopy",
            {"type": "volume", "source": "data", "target": "/d", "volume": {"nocopy": True}},
        ),
        ("d:/d", {"type": "volume", "target": "d:/d", "volume": {}}),
    ],
)
def test_volumes(text: str, entry: dict[str, object]) -> None:
    assert list(volume_entries(text)) == [entry]


@pytest.mark.parametrize("text", ["", ":/x", "aa::b", "aa:/b:ro:d"])
def test_a_text_that_is_no_volume(text: str) -> None:
    with pytest.raises(ValueError, match="no volume"):
        list(volume_entries(text))
