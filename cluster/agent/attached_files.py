"""The secrets, configs and registry logins of this node's tasks, in memory only.

They are never written to the local state: after a restart the node waits for the managers to send
them again, before it makes a container that needs one.
"""

from __future__ import annotations

from cluster.errors import NotFound, Unavailable
from cluster.model.config import Config, ConfigSpec
from cluster.model.ids import ConfigId, SecretId, ServiceId
from cluster.model.registry_login import RegistryAuth
from cluster.model.secret import Secret, SecretSpec
from cluster.rpc.messages import AssignmentsMessage


class AttachedFiles:
    """What the dispatcher sent of secrets, configs and logins."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._secrets: dict[SecretId, Secret] = {}
        self._configs: dict[ConfigId, Config] = {}
        self._auths: dict[ServiceId, RegistryAuth] = {}
        self._is_complete = False

    def apply(self, message: AssignmentsMessage) -> None:
        """Take what a message brings, and drop what no task needs any more."""
        if message.is_complete:
            self._secrets.clear()
            self._configs.clear()
            self._auths.clear()
            self._is_complete = True
        self._secrets.update((secret.id, secret) for secret in message.secrets)
        self._configs.update((config.id, config) for config in message.configs)
        self._auths.update((login.service_id, login.auth) for login in message.logins)
        for secret_id in message.removed_secrets:
            self._secrets.pop(secret_id, None)
        for config_id in message.removed_configs:
            self._configs.pop(config_id, None)
        for service_id in message.removed_logins:
            self._auths.pop(service_id, None)

    def secret(self, secret_id: SecretId, name: str) -> SecretSpec:
        """Return a secret.

        Args:
            secret_id: its ID.
            name: how an error calls it.

        Raises:
            Unavailable: no manager has been heard since the start of this process.
            NotFound: the cluster does not have it, or no task needs it.
        """
        secret = self._secrets.get(secret_id)
        if secret is None:
            raise self._missing(f"secret {name}")
        return secret.spec

    def config(self, config_id: ConfigId, name: str) -> ConfigSpec:
        """Return a config; as `secret`."""
        config = self._configs.get(config_id)
        if config is None:
            raise self._missing(f"config {name}")
        return config.spec

    def registry_auth(self, service_id: ServiceId) -> RegistryAuth | None:
        """Return the credentials with which a service's image is pulled, None for none.

        Raises:
            Unavailable: no manager has been heard since the start of this process.
        """
        if not self._is_complete:
            raise self._missing("the login at the image's registry")
        return self._auths.get(service_id)

    def forget(self) -> None:
        """Drop everything, as the node leaves the cluster."""
        self._secrets.clear()
        self._configs.clear()
        self._auths.clear()

    def _missing(self, what: str) -> NotFound | Unavailable:
        if not self._is_complete:
            return Unavailable(f"{what} comes from a manager, and none has been reached yet")
        return NotFound(f"{what} not found: it was removed from the cluster")
