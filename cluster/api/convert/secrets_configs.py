"""Secrets and configs as the API shows them: a secret never with its data."""

from __future__ import annotations

from typing import Any

import msgspec

from cluster.api.convert.objects import common_members
from cluster.model.config import Config
from cluster.model.secret import Secret


def secret_json(secret: Secret) -> dict[str, Any]:
    """Return a secret as the API shows it, without its data."""
    spec = secret.without_data().spec
    return common_members(secret.id, secret.meta) | {"Spec": _spec_json(spec)}


def config_json(config: Config) -> dict[str, Any]:
    """Return a config as the API shows it, its data as base64 text."""
    return common_members(config.id, config.meta) | {"Spec": _spec_json(config.spec)}


def _spec_json(spec: msgspec.Struct) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(spec)
    shown.setdefault("Labels", {})
    return shown
