"""A stack's objects in a cluster back to a compose file: the other way of `stack_spec`.

What the Engine API says of a service and this cannot express is told, never dropped in silence.
Secrets do not show their contents and become external; configs become files beside the compose
file.  A value that contains ``$`` is written so that it means itself.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

import msgspec

from stack.engine.payloads import Json, Named, Network
from stack.translate.names import IMAGE_LABEL, NAMESPACE_LABEL
from stack.translate.service_to_compose import service_entry


class Imported(msgspec.Struct, frozen=True):
    """A compose file, files that it needs beside it, and what it does not say."""

    compose: Json
    files: Mapping[str, bytes]
    notes: tuple[str, ...]


def to_compose(
    stack: str,
    specs: Iterable[Json],
    networks: Iterable[Network],
    configs: Mapping[str, Named],
) -> Imported:
    """Write a stack as a compose file.

    Args:
        stack: its name, or "" for services that belong to none.
        specs: of its services, as the API shows them.
        networks: all of the cluster.
        configs: those of the cluster by name, with their data.
    """
    writer = _Writer(stack, {network["Id"]: network for network in networks}, configs)
    services = {
        writer.key(spec["Name"]): writer.service(spec)
        for spec in sorted(specs, key=lambda spec: str(spec["Name"]))
    }
    compose: Json = {"name": stack} if stack else {}
    compose["services"] = services
    for name, section in writer.sections().items():
        if section:
            compose[name] = section
    return Imported(compose, writer.files, tuple(writer.notes))


class _Writer:
    """Collects what the services of one stack refer to."""

    def __init__(
        self, stack: str, networks: Mapping[str, Network], configs: Mapping[str, Named]
    ) -> None:
        self._stack = stack
        self._networks = networks
        self._known_configs = configs
        self._used_networks: dict[str, Json] = {}
        self._secrets: dict[str, Json] = {}
        self._configs: dict[str, Json] = {}
        self._volumes: dict[str, Json] = {}
        self.files: dict[str, bytes] = {}
        self.notes: list[str] = []

    def key(self, name: str) -> str:
        """The name that a file gives to an object of the stack."""
        prefix = f"{self._stack}_"
        return name.removeprefix(prefix) if self._stack else name

    def service(self, spec: Json) -> Json:
        """One service; what it refers to is noted."""
        name = self.key(spec["Name"])
        entry, notes = service_entry(spec)
        self.notes += (f"services.{name}: {note}" for note in notes)
        labels = {
            key: value
            for key, value in (spec.get("Labels") or {}).items()
            if key not in (NAMESPACE_LABEL, IMAGE_LABEL) and not key.startswith("com.stackyard.")
        }
        if labels:
            entry.setdefault("deploy", {})["labels"] = escaped(labels)
        container = spec["TaskTemplate"]["ContainerSpec"]
        networks = self._joined(spec)
        if isinstance(networks, str):
            entry["network_mode"] = networks
        elif networks:
            entry["networks"] = networks
        for kind in ("Secret", "Config"):
            references = [self._reference(kind, one) for one in container.get(f"{kind}s") or ()]
            if references:
                entry[f"{kind.lower()}s"] = references
        mounts = [self._mount(one) for one in container.get("Mounts") or ()]
        if mounts:
            entry["volumes"] = mounts
        return entry

    def sections(self) -> dict[str, Json]:
        """The top-level maps beside the services."""
        return {
            "networks": self._used_networks,
            "secrets": self._secrets,
            "configs": self._configs,
            "volumes": self._volumes,
        }

    def _joined(self, spec: Json) -> Json | str:
        joined: Json = {}
        for attachment in spec["TaskTemplate"].get("Networks") or ():
            target = attachment["Target"]
            if target in ("host", "none"):
                return str(target)
            network = self._networks.get(target)
            name = network["Name"] if network else target
            if name in ("host", "none"):
                return str(name)
            key = self._network(name, network)
            own = (self.key(spec["Name"]), spec["Name"])
            aliases = [one for one in attachment.get("Aliases") or () if one not in own]
            joined[key] = {"aliases": aliases} if aliases else None
        return joined

    def _network(self, name: str, network: Network | None) -> str:
        labels = (network or {}).get("Labels") or {}
        if network is None or labels.get(NAMESPACE_LABEL) != self._stack or not self._stack:
            self._used_networks[name] = {"external": True}
            return name
        key = self.key(name)
        entry: Json = {} if key != name else {"name": name}
        plain: Json = dict(network)
        if plain.get("Driver") not in ("", "overlay", None):
            entry["driver"] = plain["Driver"]
        options = {
            one: value
            for one, value in (plain.get("Options") or {}).items()
            if not one.startswith("com.docker.network.driver.overlay.vxlanid")
        }
        if options:
            entry["driver_opts"] = options
        for member, word in (
            ("Attachable", "attachable"), ("Internal", "internal"), ("EnableIPv6", "enable_ipv6"),
        ):  # fmt: skip
            if plain.get(member):
                entry[word] = True
        own = {one: value for one, value in labels.items() if one != NAMESPACE_LABEL}
        if own:
            entry["labels"] = escaped(own)
        self._used_networks[key] = entry or None  # type: ignore[assignment]
        return key

    def _reference(self, kind: str, reference: Json) -> Json:
        name = reference[f"{kind}Name"]
        key = self.key(name)
        if kind == "Secret":
            self._secrets[key] = {"external": True, "name": name}
        else:
            self._config(key, name)
        target = reference.get("File") or {}
        entry: Json = {"source": key, "target": target.get("Name", key)}
        for member, word in (("UID", "uid"), ("GID", "gid")):
            if target.get(member) not in (None, "", "0"):
                entry[word] = target[member]
        if target.get("Mode") not in (None, 0o444):
            entry["mode"] = target["Mode"]
        return entry

    def _config(self, key: str, name: str) -> None:
        config = self._known_configs.get(name)
        data = config["Spec"].get("Data") if config else None
        if data is None:
            self._configs[key] = {"external": True, "name": name}
            return
        path = f"configs/{name}"
        self.files[path] = base64.b64decode(data)
        self._configs[key] = {"file": f"./{path}"}
        if key == name or not self._stack:
            self._configs[key]["name"] = name

    def _mount(self, mount: Json) -> Json:
        entry: Json = {"type": mount["Type"], "target": mount["Target"]}
        if mount.get("ReadOnly"):
            entry["read_only"] = True
        source = mount.get("Source", "")
        if mount["Type"] == "volume" and source:
            key = self.key(source)
            entry["source"] = key
            driver = (mount.get("VolumeOptions") or {}).get("DriverConfig") or {}
            volume: Json = {} if key != source else {"name": source}
            if driver.get("Name"):
                volume["driver"] = driver["Name"]
            if driver.get("Options"):
                volume["driver_opts"] = escaped(driver["Options"])
            self._volumes[key] = volume or None  # type: ignore[assignment]
            if (mount.get("VolumeOptions") or {}).get("NoCopy"):
                entry["volume"] = {"nocopy": True}
        elif source:
            entry["source"] = source
        tmpfs = mount.get("TmpfsOptions") or {}
        if tmpfs.get("SizeBytes"):
            entry["tmpfs"] = {"size": tmpfs["SizeBytes"]}
        propagation = (mount.get("BindOptions") or {}).get("Propagation")
        if propagation:
            entry["bind"] = {"propagation": propagation}
        return escaped(entry)


def escaped(values: Mapping[str, object]) -> Json:
    """Texts in which ``$`` means itself."""
    return {
        name: value.replace("$", "$$") if isinstance(value, str) else value
        for name, value in values.items()
    }
