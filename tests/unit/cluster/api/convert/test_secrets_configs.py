from __future__ import annotations

import base64
from typing import Any

from cluster.api.convert.secrets_configs import config_json, secret_json
from cluster.model.config import Config, ConfigSpec
from cluster.model.container import Driver
from cluster.model.ids import ConfigId, SecretId
from cluster.model.secret import Secret, SecretSpec
from tests.unit.cluster.api.golden_files import as_json, golden, meta


def test_a_secret_is_shown_as_docker_swarm_shows_it_without_data() -> None:
    shown = golden("secret-inspect")
    spec = SecretSpec(name="sec_a", labels={"k": "v"}, data=b"topsecret")
    secret = Secret(id=SecretId(shown["ID"]), meta=meta(shown), spec=spec)
    assert as_json(secret_json(secret)) == shown


def test_a_config_is_shown_as_docker_swarm_shows_it() -> None:
    shown: dict[str, Any] = golden("config-inspect")
    spec = ConfigSpec(
        name="cfg_a",
        labels={"k": "v"},
        data=base64.b64decode(shown["Spec"]["Data"]),
        templating=Driver(name="golang"),
    )
    config = Config(id=ConfigId(shown["ID"]), meta=meta(shown), spec=spec)
    assert as_json(config_json(config)) == shown


def test_labels_are_never_absent() -> None:
    spec = ConfigSpec(name="a", data=b"x")
    config = Config(id=ConfigId("c"), meta=meta(golden("config-inspect")), spec=spec)
    assert config_json(config)["Spec"]["Labels"] == {}
