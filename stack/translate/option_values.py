"""Texts of options of ``stack service create`` and ``update`` to members of a service's spec.

Each function takes one text and raises `ValueError` with a reason when it means nothing.
"""

from __future__ import annotations

import csv
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from stack.compose.quantities import duration_ns, nano_cpus, size_bytes
from stack.compose.short_texts import port_entries
from stack.engine.payloads import Json

Reader = Callable[[str], Any]

_SPREAD = "spread="
_PORT_NAMES = {"target": "target", "published": "published", "protocol": "protocol", "mode": "mode"}
_MODE = 0o444


def whole(text: str) -> int:
    """A whole number from 0."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


def ratio(text: str) -> float:
    """A part of the whole, 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} is not from 0 to 1")
    return value


def words(text: str) -> list[str]:
    """A command line, split as a shell splits it."""
    return shlex.split(text)


def shell_check(text: str) -> list[str]:
    """A health check that a shell runs."""
    return ["CMD-SHELL", text]


def pair(text: str) -> tuple[str, str]:
    """KEY=VALUE; without a value it is empty."""
    key, _, value = text.partition("=")
    if not key:
        raise ValueError(f"{text!r} has no name before the '='")
    return key, value


def plain(text: str) -> str:
    """The text itself."""
    return text


def variable(text: str) -> str:
    """NAME=VALUE of the environment."""
    if not text.partition("=")[0]:
        raise ValueError(f"{text!r} has no name before the '='")
    return text


def preference(text: str) -> Json:
    """``spread=node.labels.zone``."""
    if not text.startswith(_SPREAD) or text == _SPREAD:
        raise ValueError(f"{text!r}: write spread=node.labels.NAME")
    return {"Spread": {"SpreadDescriptor": text.removeprefix(_SPREAD)}}


def ulimit(text: str) -> Json:
    """``nofile=1024`` or ``nofile=1024:2048``."""
    name, value = pair(text)
    soft, _, hard = value.partition(":")
    return {"Name": name, "Soft": whole(soft), "Hard": whole(hard or soft)}


def host_line(text: str) -> str:
    """``name:address`` as a line of a hosts file."""
    name, sign, address = text.partition(":")
    if not (sign and name and address):
        raise ValueError(f"{text!r}: write NAME:ADDRESS")
    return f"{address} {name}"


def generic_resource(text: str) -> Json:
    """``gpu=2``."""
    kind, value = pair(text)
    return {"DiscreteResourceSpec": {"Kind": kind, "Value": whole(value)}}


def port(text: str) -> Json:
    """``8080:80``, ``8080:80/udp`` or ``mode=host,published=8080,target=80``."""
    if "=" in text:
        fields = _fields(text, _PORT_NAMES)
        if not fields.get("target"):
            raise ValueError(f"{text!r} has no target=PORT")
        entry: Mapping[str, Any] = {"mode": "ingress", "protocol": "tcp", **fields}
    else:
        entries = list(port_entries(text))
        if len(entries) != 1:
            raise ValueError(f"{text!r}: write one port, not a range")
        entry = {"mode": "ingress", **entries[0]}
        if entry.get("host_ip"):
            raise ValueError(f"{text!r}: only a compose file can limit a port to an address")
    return {
        "Protocol": str(entry.get("protocol") or "tcp"),
        "TargetPort": whole(str(entry["target"])),
        "PublishedPort": whole(str(entry.get("published") or 0)),
        "PublishMode": str(entry["mode"]),
    }


def mount(text: str) -> Json:
    """``type=volume,source=data,target=/data,readonly``."""
    names = dict.fromkeys(("type", "source", "src", "target", "dst", "destination"), "")
    names |= dict.fromkeys(("readonly", "ro", "volume-nocopy", "volume-driver"), "")
    names |= dict.fromkeys(("bind-propagation", "tmpfs-size"), "")
    fields = _fields(text, {name: name for name in names})
    target = fields.get("target") or fields.get("dst") or fields.get("destination")
    if not target:
        raise ValueError(f"{text!r} has no target=PATH")
    found: Json = {"Type": fields.get("type", "volume"), "Target": target}
    if source := fields.get("source") or fields.get("src"):
        found["Source"] = source
    if _is_set(fields, "readonly") or _is_set(fields, "ro"):
        found["ReadOnly"] = True
    volume: Json = {}
    if _is_set(fields, "volume-nocopy"):
        volume["NoCopy"] = True
    if driver := fields.get("volume-driver"):
        volume["DriverConfig"] = {"Name": driver}
    if volume:
        found["VolumeOptions"] = volume
    if propagation := fields.get("bind-propagation"):
        found["BindOptions"] = {"Propagation": propagation}
    if size := fields.get("tmpfs-size"):
        found["TmpfsOptions"] = {"SizeBytes": size_bytes(size)}
    return found


def file_reference(text: str) -> Json:
    """A secret or config: ``name`` or ``source=name,target=file,uid=0,gid=0,mode=0444``.

    It has the members `name` and `File`; the kind and the object's ID are not known here.
    """
    if "=" not in text:
        fields = {"source": text}
    else:
        names = ("source", "src", "target", "uid", "gid", "mode")
        fields = _fields(text, {name: name for name in names})
    name = fields.get("source") or fields.get("src")
    if not name:
        raise ValueError(f"{text!r} has no source=NAME")
    try:
        mode = int(fields["mode"], 8) if "mode" in fields else _MODE
    except ValueError:
        raise ValueError(f"{text!r}: mode is written in octal digits, as 0440") from None
    uid, gid = fields.get("uid", "0"), fields.get("gid", "0")
    file = {"Name": fields.get("target", name), "UID": uid, "GID": gid, "Mode": mode}
    return {"name": name, "File": file}


def network(text: str) -> Json:
    """A network: ``name`` or ``name=front,alias=www``."""
    if "=" not in text:
        return {"Target": text}
    target, aliases = "", []
    for key, value in map(pair, _split(text)):
        if key == "name":
            target = value
        elif key == "alias":
            aliases.append(value)
        else:
            raise ValueError(f"{text!r}: {key} is none of name, alias")
    if not target:
        raise ValueError(f"{text!r} has no name=NETWORK")
    return {"Target": target, "Aliases": aliases}


duration, size, cpus = duration_ns, size_bytes, nano_cpus


def _fields(text: str, names: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for part in _split(text):
        key, _, value = part.partition("=")
        if key not in names:
            raise ValueError(f"{text!r}: {key!r} is none of {', '.join(names)}")
        found[key] = value
    return found


def _split(text: str) -> list[str]:
    return next(csv.reader([text]))


def _is_set(fields: Mapping[str, str], name: str) -> bool:
    return fields.get(name, "false") in ("", "true", "1")
