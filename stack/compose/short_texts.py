"""The grammars of short forms: ``8080:80`` ports, ``data:/var/lib`` volumes, ``/dev/a:/dev/b``."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from stack.compose.tree import ScalarValue

Fields = dict[str, "ScalarValue | Fields"]

_RANGE = re.compile(r"[0-9]{1,9}(?:-[0-9]{1,9})?")
_ADDRESS = re.compile(r"\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f:.]*[0-9A-Fa-f:]")
_PROTOCOLS = ("tcp", "udp", "sctp")
_HIGHEST_PORT = 65535


def port_entries(text: str) -> Iterator[Fields]:
    """Write out a port: ``[[ip:]published:]target[/protocol]``, ranges as several entries.

    Raises:
        ValueError: the text is no port; says why.
    """
    ports, _, protocol = text.partition("/")
    front, _, target = ports.rpartition(":")
    address, _, published = front.rpartition(":")
    protocol = protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise ValueError(f"{text!r}: protocol must be tcp, udp or sctp")
    if (
        not _RANGE.fullmatch(target)
        or (published and not _RANGE.fullmatch(published))
        or (address and not _ADDRESS.fullmatch(address))
    ):
        raise ValueError(f"{text!r} is no port: write [[ip:]published:]target[/protocol]")
    if address and not is_address(address.strip("[]")):
        raise ValueError(f"{text!r}: {address!r} is no IP address")
    targets = _port_range(target, text)
    if not targets[0]:
        raise ValueError(f"{text!r}: a container has no port 0")
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


def is_address(text: str) -> bool:
    """Whether a text is an IP address."""
    from ipaddress import ip_address  # few files name one, and the import takes long

    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _port_range(text: str, whole: str) -> range:
    first, _, last = text.partition("-")
    ports = range(int(first), int(last or first) + 1)
    if not ports or ports[-1] > _HIGHEST_PORT:
        raise ValueError(f"{whole!r}: a port is a number from 0 to {_HIGHEST_PORT}")
    return ports


_PROPAGATION = ("rprivate", "private", "rshared", "shared", "rslave", "slave")


def volume_entries(text: str) -> Iterator[Fields]:
    """Write out a volume: ``[source:]target[:options]``; a path as source makes a bind mount.

    A source is a path when it begins with a dot, a slash, ``~``, two backslashes or a drive letter.
    One letter before a colon is always a drive; unknown options have no meaning.  Both is what
    Docker's tools do.

    Raises:
        ValueError: the text is no volume; says why.
    """
    if 0 < len(text) <= 2:
        yield {"type": "volume", "target": clean(text)}
        return
    parts = _split_volume(text)
    if not all(parts) or len(parts) > 3:
        raise ValueError(f"{text!r} is no volume: write [source:]target[:options]")
    if len(parts) == 1:
        yield {"type": "volume", "target": clean(parts[0]), "volume": {}}
        return
    source, target, *options = parts
    fields: Fields = {"source": source, "target": clean(target)}
    bind: Fields = {}
    volume: Fields = {}
    for option in options[0].split(",") if options else ():
        if option in ("ro", "rw"):
            fields["read_only"] = option == "ro"
        elif option == "nocopy":
            volume["nocopy"] = True
        elif option in _PROPAGATION:
            bind["propagation"] = option
        elif option in ("z", "Z"):
            bind["selinux"] = option
    if source[0] in "./~" or source.startswith("\\\\") or _is_drive(source[:2]):
        yield {"type": "bind", **fields, "bind": {**bind, "create_host_path": True}}
    else:
        yield {"type": "volume", **fields, "volume": volume, **({"bind": bind} if bind else {})}


def _split_volume(text: str) -> list[str]:
    parts = [""]
    for character in text:
        if character == ":" and not (len(parts[-1]) == 1 and parts[-1].isalpha()):
            parts.append("")
        else:
            parts[-1] += character
    return parts


def clean(path: str) -> str:
    """A path inside a container without ``.``, ``..`` and doubled slashes."""
    if not path:
        return path
    normal = posixpath.normpath(path)
    return normal[1:] if normal.startswith("//") else normal


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
