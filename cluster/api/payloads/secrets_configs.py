"""The bodies of requests about secrets and configs; the data is base64 text, as in Docker."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from cluster.api.payloads.decoding import convert_tree, decode_body
from cluster.api.versions import ApiVersion
from cluster.errors import InvalidArgument
from cluster.model.config import ConfigSpec
from cluster.model.secret import SecretSpec

_TEMPLATING_SINCE = ApiVersion(1, 37)

S = TypeVar("S", SecretSpec, ConfigSpec)


def check_templating(spec: SecretSpec | ConfigSpec, version: ApiVersion) -> None:
    """Refuse a template of a client that is too old to know of them, as Docker does.

    Raises:
        InvalidArgument: the version is older than the member `Templating`.
    """
    if spec.templating is not None and version < _TEMPLATING_SINCE:
        kind = "secret" if isinstance(spec, SecretSpec) else "config"
        raise InvalidArgument(
            f"Templating: {kind} templating is not supported on the specified API version: "
            f"{version}; it takes {_TEMPLATING_SINCE}"
        )


def decode_secret_spec(body: bytes) -> SecretSpec:
    """Return the spec of a secret.

    Raises:
        InvalidArgument: no JSON, or a member of a wrong type, which the message names.
    """
    return _without_empty_labels(decode_body(body, SecretSpec))


def secret_spec_of(tree: Any) -> SecretSpec:
    """Return the spec of a secret that plain values hold; errors as with `decode_secret_spec`."""
    return _without_empty_labels(convert_tree(tree, SecretSpec))


def config_spec_of(tree: Any) -> ConfigSpec:
    """Return the spec of a config that plain values hold; errors as with `decode_config_spec`."""
    return _without_empty_labels(convert_tree(tree, ConfigSpec))


def decode_config_spec(body: bytes) -> ConfigSpec:
    """Return the spec of a config.

    Raises:
        InvalidArgument: no JSON, or a member of a wrong type, which the message names.
    """
    return _without_empty_labels(decode_body(body, ConfigSpec))


def _without_empty_labels(spec: S) -> S:
    return spec if spec.labels else msgspec.structs.replace(spec, labels=None)
