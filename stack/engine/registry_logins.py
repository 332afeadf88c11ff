"""The user's logins at registries, as ``docker login`` keeps them.

They are in ``config.json``, or in a helper program that it names.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stack.errors import StackError

DOCKER_HUB = "https://index.docker.io/v1/"
_HELPER_TIMEOUT_S = 30
_TOKEN_USER = "<token>"  # noqa: S105 - a helper says so instead of a user's name
_NOT_FOUND = "credentials not found"


class RegistryLogins:
    """Logins by registry; nothing is read before it is asked for."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Take the folder from DOCKER_CONFIG, or ``~/.docker``."""
        folder = environment.get("DOCKER_CONFIG") or f"{environment.get('HOME', '')}/.docker"
        self._path = Path(folder) / "config.json"
        self._environment = environment

    def encoded(self, image: str) -> str:
        """The login for an image as ``X-Registry-Auth`` wants it, "" when there is none.

        Raises:
            StackError: the file or the helper program cannot be used.
        """
        login = self._login(registry_of(image))
        if not login:
            return ""
        return base64.urlsafe_b64encode(json.dumps(login).encode()).decode()

    def _login(self, registry: str) -> dict[str, str]:
        config = self._read()
        helper = (config.get("credHelpers") or {}).get(registry) or config.get("credsStore")
        if helper:
            return self._from_helper(str(helper), registry)
        for name, entry in (config.get("auths") or {}).items():
            if name == registry or _host(name) == registry:
                return self._from_entry(entry, registry)
        return {}

    def _read(self) -> dict[str, Any]:
        try:
            config = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise StackError(f"{self._path}: cannot be read: {error}") from None
        return config if isinstance(config, dict) else {}

    def _from_entry(self, entry: Mapping[str, str], registry: str) -> dict[str, str]:
        user, password = entry.get("username", ""), entry.get("password", "")
        if entry.get("auth"):
            try:
                text = base64.b64decode(entry["auth"], validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise StackError(
                    f"{self._path}: the login at {registry} is broken: docker login {registry}"
                ) from None
            user, _, password = text.partition(":")
        known = {
            "username": user,
            "password": password.rstrip("\0"),
            "identitytoken": entry.get("identitytoken", ""),
            "registrytoken": entry.get("registrytoken", ""),
        }
        known = {name: value for name, value in known.items() if value}
        return {**known, "serveraddress": registry} if known else {}

    def _from_helper(self, helper: str, registry: str) -> dict[str, str]:
        import subprocess  # few logins are kept by a program, and the import takes long

        program = f"docker-credential-{helper}"
        try:
            done = subprocess.run(
                [program, "get"],
                input=registry,
                capture_output=True,
                text=True,
                timeout=_HELPER_TIMEOUT_S,
                check=False,
                env=dict(self._environment),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = getattr(error, "strerror", None) or "no answer"
            raise StackError(f"{program}, named in {self._path}: {reason}") from None
        if done.returncode:
            if _NOT_FOUND in done.stdout + done.stderr:
                return {}
            raise StackError(f"{program} get: exit code {done.returncode}")
        try:
            answer = json.loads(done.stdout)
            user, secret = str(answer["Username"]), str(answer["Secret"])
        except (ValueError, KeyError, TypeError):
            raise StackError(f"{program} get: the answer is no login") from None
        if user == _TOKEN_USER:
            return {"identitytoken": secret, "serveraddress": registry}
        return {"username": user, "password": secret, "serveraddress": registry}


def registry_of(image: str) -> str:
    """The name under which the login for an image is kept: host and port of its registry."""
    first, slash, _ = image.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    if not is_host or first in ("docker.io", "index.docker.io"):
        return DOCKER_HUB
    return first


def _host(name: str) -> str:
    return name.partition("://")[2].partition("/")[0] if "://" in name else name.partition("/")[0]
