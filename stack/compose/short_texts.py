"""The grammars of short forms: ``8080:80`` ports, ``data:/var/lib`` volumes, ``/dev/a:/dev/b``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stack.compose.tree import ScalarValue

Fields = dict[str, "ScalarValue | Fields"]

_RANGE = re.compile(r"[0-9]+(?:-[0-9]+)?")
_ADDRESS = re.compile(r"\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f:.]*[0-9A-Fa-f:]")
_PROTOCOLS = ("tcp", "udp", "sctp")
_HIGHEST_PORT = 65535


def port_entries(text: str) -> Iterator[Fields]:
    """Write out a port: ``[[ip:]published:]target[/protocol]``, ranges as several entries.

    Raises:
        ValueError: the text is no port; says why.
    """
    ports, slash, protocol = text.partition("/")
    front, _, target = ports.rpartition(":")
    address, _, published = front.rpartition(":")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in _PROTOCOLS:
        raise ValueError(f"{text!r}: protocol must be tcp, udp or sctp")
    if (
        not _RANGE.fullmatch(target)
        or (ports.startswith(":") and not address)
        or (published and not _RANGE.fullmatch(published))
        or (address and not _ADDRESS.fullmatch(address))
    ):
        raise ValueError(f"{text!r} is no port: write [[ip:]published:]target[/protocol]")
    targets = _port_range(target, text)
    sources = _port_range(published, text) if published else None
    several_to_one = sources is not None and len(targets) == 1 and len(sources) > 1
    if sources is not None and not several_to_one and len(sources) != len(targets):
        raise ValueError(f"{text!r}: the two ranges have different lengths")
    for index, number in enumerate(targets):
        fields: Fields = {"mode": "ingress", "target": number, "protocol": protocol}
        if sources is not None:
            fields["published"] = published if several_to_one else str(sources[index])
        if address:
            fields["host_ip"] = address.strip("[]")
        yield fields


def _port_range(text: str, whole: str) -> range:
    first, _, last = text.partition("-")
    ports = range(int(first), int(last or first) + 1)
    if not ports or ports[-1] > _HIGHEST_PORT:
        raise ValueError(f"{whole!r}: a port is a number from 0 to {_HIGHEST_PORT}")
    return ports


_PROPAGATION = ("rprivate", "private", "rshared", "shared", "rslave", "slave")


def volume_entries(text: str) -> Iterator[Fields]:
    """Write out a volume: ``[source:]target[:options]``; a path as source makes a bind mount.

    A source is a path when it begins with a dot, a slash, a backslash, ``~`` or a drive letter.

    Raises:
        ValueError: the text is no volume; says why.
    """
    parts = _split_volume(text)
    if not all(parts) or not 1 <= len(parts) <= 3:
        raise ValueError(f"{text!r} is no volume: write [source:]target[:options]")
    if len(parts) == 1:
        yield {"type": "volume", "target": parts[0]}
        return
    source, target, *options = parts
    is_bind = source[0] in "./~\\" or _is_drive(source[:2])
    fields: Fields = {
        "type": "bind" if is_bind else "volume",
        "source": source,
        "target": target,
    }
    for option in options[0].split(",") if options else ():
        if option in ("ro", "rw"):
            fields["read_only"] = option == "ro"
        elif option == "nocopy":
            fields["volume"] = {"nocopy": True}
        elif option in _PROPAGATION:
            fields["bind"] = {"propagation": option}
        elif option in ("z", "Z"):
            fields["bind"] = {"selinux": option}
        else:
            raise ValueError(f"{text!r}: unknown option '{option}' (ro, rw, nocopy, a propagation)")
    yield fields


def _split_volume(text: str) -> list[str]:
    parts = text.split(":")
    joined: list[str] = []
    for part in parts:
        begins_path = part[:1] in ("\\", "/")
        if joined and begins_path and _is_letter(joined[-1]) and part[:1] == "\\":
            joined[-1] = f"{joined[-1]}:{part}"
        else:
            joined.append(part)
    return joined


def _is_letter(text: str) -> bool:
    return len(text) == 1 and text.isalpha()


def _is_drive(text: str) -> bool:
    return len(text) == 2 and text[0].isalpha() and text[1] == ":"


def device_entries(text: str) -> Iterator[Fields]:
    """Write out a device: ``source[:target[:permissions]]``.

    A name with ``=`` is one of the Container Device Interface and has nothing else.

    Raises:
        ValueError: the text is no device; says why.
    """
    source, *rest = text.split(":")
    if not source or len(rest) > 2:
        raise ValueError(f"{text!r} is no device: write source[:target[:permissions]]")
    target = rest[0] if rest and rest[0] else source
    yield {"source": source, "target": target, "permissions": rest[1] if rest[1:] else "rwm"}
