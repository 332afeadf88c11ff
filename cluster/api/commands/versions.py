"""Names and digests of the versions of a stack's secrets and configs, as ``stack`` makes them.

The digest stands in the label `CONTENT_LABEL`, where a client that cannot read a secret sees
whether its file differs.  It is scrypt (RFC 7914), salted with the name and the templating driver:
whoever may read labels can check a guess no faster than some hundred times a second.
"""

from __future__ import annotations

import hashlib
from typing import Final

from msgspec.structs import replace

from cluster.model.config import ConfigSpec
from cluster.model.secret import SecretSpec
from cluster.model.stack import CONTENT_LABEL, VERSION_LABEL, stack_of

_SUFFIX_LENGTH: Final = 10
_MAX_NAME_LENGTH: Final = 64


def digest_of(spec: SecretSpec | ConfigSpec) -> str:
    """Return the digest of a content under the name that its versions share."""
    templating = spec.templating.name if spec.templating else ""
    salt = f"stackyard {base_of(spec)} {templating}".encode()
    return hashlib.scrypt(spec.data, salt=salt, n=4096, r=8, p=1, dklen=16).hex()


def base_of(spec: SecretSpec | ConfigSpec) -> str:
    """Return the name that the versions of an object share."""
    return (spec.labels or {}).get(VERSION_LABEL, spec.name)


def versioned_name(base: str, digest: str) -> str:
    """Return the name of a version that is not to have the plain one."""
    return f"{base[: _MAX_NAME_LENGTH - _SUFFIX_LENGTH - 1]}-{digest[:_SUFFIX_LENGTH]}"


def is_name_of(spec: SecretSpec | ConfigSpec, name: str) -> bool:
    """Whether an object has or could have had this name: its own, or that of one of its versions.

    A name may have moved on to a newer content since somebody referred to this one by it.
    """
    if name == spec.name:
        return True
    digest = (spec.labels or {}).get(CONTENT_LABEL)
    if digest is None:
        return False
    base = base_of(spec)
    return name in {base, versioned_name(base, digest)}


def with_digest(spec: SecretSpec) -> SecretSpec:
    """Add the digest to a secret that a client makes for a stack without saying one."""
    labels = spec.labels or {}
    if not stack_of(labels) or CONTENT_LABEL in labels or not spec.data:
        return spec
    return replace(spec, labels={**labels, CONTENT_LABEL: digest_of(spec)})
