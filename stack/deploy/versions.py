"""Versions of secrets and configs: a changed content becomes another object, an equal one none.

The content of an accepted object never changes in a cluster.  So the first version has the name
that the file gives, and a later one that name with a part of its digest.  Labels tell of which
name an object is a version, and its digest, since a secret's content can't be read back.

The digest is scrypt (RFC 7914), salted with the name: whoever may read labels can check a guess
at a secret no faster than some hundred times a second.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from stack.engine.payloads import FileKind, Json, Named, Service, copied
from stack.translate.stack_spec import StackSpec

CONTENT_LABEL = "com.stackyard.content"
VERSION_LABEL = "com.stackyard.version-of"

_SUFFIX_LENGTH = 10
_MAX_NAME_LENGTH = 64

Files = Mapping[str, Named]
"""Secrets or configs of a cluster by name."""


def digest_of(request: Json) -> str:
    """The digest of a secret's or config's content; "" for one that a driver keeps elsewhere.

    Args:
        request: the body of the request that creates it, under the name that the file gives.
    """
    if "Data" not in request:
        return ""
    data = base64.b64decode(request["Data"])
    templating = (request.get("Templating") or {}).get("Name", "")
    return _scrypt(data, f"stackyard {request['Name']} {templating}")


@functools.cache
def _scrypt(data: bytes, salt: str) -> str:
    return hashlib.scrypt(data, salt=salt.encode(), n=4096, r=8, p=1, dklen=16).hex()


def is_version_of(item: Named, name: str) -> bool:
    """Whether an object is one of those that `name` of a file has stood for."""
    labels = item["Spec"].get("Labels") or {}
    return bool(item["Spec"]["Name"] == name or labels.get(VERSION_LABEL) == name)


def with_versions(wanted: StackSpec, secrets: Files, configs: Files) -> StackSpec:
    """The stack with the secrets and configs, and references to them, named by their versions.

    Args:
        wanted: as the file describes it.
        secrets: those of the cluster that belong to the stack or have a name of it.
        configs: the same.
    """
    new_secrets = [_version(request, secrets) for request in wanted.secrets]
    new_configs = [_version(request, configs) for request in wanted.configs]
    names = {
        "Secret": _renamed(wanted.secrets, new_secrets),
        "Config": _renamed(wanted.configs, new_configs),
    }
    return msgspec.structs.replace(
        wanted,
        secrets=tuple(new_secrets),
        configs=tuple(new_configs),
        services=tuple(_referring(spec, names) for spec in wanted.services),
    )


def superseded(
    wanted: StackSpec, kind: FileKind, files: Files, services: Iterable[Service]
) -> Iterator[Named]:
    """Versions that the file's present ones have replaced and that no service can go back to.

    Args:
        wanted: with versions.
        kind: what `files` holds.
        files: as the cluster has them now.
        services: the stack's, with the specs that a rollback returns to.
    """
    present = wanted.secrets if kind == "secret" else wanted.configs
    bases = {base_of(request) for request in present}
    kept = {request["Name"] for request in present}
    for service in services:
        for spec in (service["Spec"], service.get("PreviousSpec") or {}):
            kept.update(_references(spec, kind))
    for name, item in sorted(files.items()):
        if name not in kept and any(is_version_of(item, base) for base in bases):
            yield item


def has_known_content(item: Named) -> bool:
    """Whether a label tells of an object's content."""
    return CONTENT_LABEL in (item["Spec"].get("Labels") or {})


def _version(request: Json, files: Files) -> Json:
    digest = digest_of(request)
    if not digest:
        return request
    base = request["Name"]
    labels = {**request["Labels"], CONTENT_LABEL: digest}
    versions = [item for item in files.values() if is_version_of(item, base)]
    same = [item for item in versions if _has_content(item, request, digest)]
    if same:
        # the name of the file before a suffix, so that the choice is always the same
        name = min((item["Spec"]["Name"] for item in same), key=lambda one: (one != base, one))
    elif base in files:
        name = f"{base[: _MAX_NAME_LENGTH - _SUFFIX_LENGTH - 1]}-{digest[:_SUFFIX_LENGTH]}"
    else:
        name = base
    if name != base:
        labels[VERSION_LABEL] = base
    return {**request, "Name": name, "Labels": labels}


def _has_content(item: Named, request: Json, digest: str) -> bool:
    spec = item["Spec"]
    known = (spec.get("Labels") or {}).get(CONTENT_LABEL)
    if known is not None:
        return bool(known == digest)
    return bool(spec.get("Data") == request["Data"])  # a config of another client shows it


def base_of(request: Json) -> str:
    """The name that the file gives to what a request with versions makes."""
    return str(request["Labels"].get(VERSION_LABEL, request["Name"]))


def _renamed(before: Iterable[Json], after: Iterable[Json]) -> dict[str, str]:
    return {old["Name"]: new["Name"] for old, new in zip(before, after, strict=True)}


def _referring(spec: Json, names: Mapping[str, Mapping[str, str]]) -> Json:
    spec = copied(spec)
    container = spec["TaskTemplate"]["ContainerSpec"]
    for kind, renamed in names.items():
        references = container.get(f"{kind}s", ())
        for reference in references:
            name = reference[f"{kind}Name"]
            reference[f"{kind}Name"] = renamed.get(name, name)
    return spec


def _references(spec: Json, kind: FileKind) -> Iterator[str]:
    container = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    word = kind.capitalize()
    for reference in container.get(f"{word}s") or ():
        yield str(reference.get(f"{word}Name", ""))
