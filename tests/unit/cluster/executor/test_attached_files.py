from __future__ import annotations

import pytest

from cluster.errors import InvalidArgument, NotFound
from cluster.executor.attached_files import AttachedFile, attached_files
from cluster.model.config import ConfigSpec
from cluster.model.container import (
    ConfigReference,
    ContainerSpec,
    Driver,
    FileTarget,
    SecretReference,
)
from cluster.model.ids import ConfigId, SecretId
from cluster.model.node import NodeDescription
from cluster.model.secret import SecretSpec
from tests.unit.cluster.executor.tasks import a_task

NODE = NodeDescription(hostname="h1")
GOLANG = Driver(name="golang")


class Source:
    """Secrets and configs by ID."""

    def __init__(self, **data: bytes) -> None:
        self.data = data
        self.templating: Driver | None = None

    def secret(self, secret_id: SecretId, name: str) -> SecretSpec:
        return SecretSpec(name=name, data=self.data[secret_id], templating=self.templating)

    def config(self, config_id: ConfigId, name: str) -> ConfigSpec:
        return ConfigSpec(name=name, data=self.data[config_id], templating=self.templating)


def _secret(path: str, secret_id: str = "s", **members: object) -> SecretReference:
    target = FileTarget(name=path, **{"uid": "0", "gid": "0", "mode": 0o444, **members})  # type: ignore[arg-type]
    return SecretReference(file=target, secret_id=secret_id, secret_name=f"name-{secret_id}")


def _config(path: str, config_id: str = "c") -> ConfigReference:
    target = FileTarget(name=path, uid="", gid="", mode=0o444)
    return ConfigReference(file=target, config_id=config_id, config_name=f"name-{config_id}")


def _files(source: Source, **members: object) -> tuple[AttachedFile, ...]:
    spec = ContainerSpec(image="app:1", **members)  # type: ignore[arg-type]
    return attached_files(a_task(spec), NODE, source)


def test_targets_are_relative_to_the_folder_of_their_kind() -> None:
    files = _files(
        Source(s=b"x", c=b"y"),
        secrets=(_secret("pass"), _secret("/etc/pass")),
        configs=(_config("conf"), _config("/etc/conf")),
    )
    assert [file.target for file in files] == [
        "/run/secrets/pass",
        "/etc/pass",
        "/conf",
        "/etc/conf",
    ]
    assert [file.content for file in files] == [b"x", b"x", b"y", b"y"]


def test_owner_and_permissions_are_taken_as_they_are() -> None:
    (file,) = _files(Source(s=b"x"), secrets=(_secret("a", uid="7", gid="8", mode=0o4640),))
    assert (file.uid, file.gid, file.mode) == (7, 8, 0o640)
    with pytest.raises(InvalidArgument, match=r"File\.UID of name-s: 'root' is not a number"):
        _files(Source(s=b"x"), secrets=(_secret("a", uid="root"),))


def test_templates_are_filled_in_only_where_asked_for() -> None:
    source = Source(s=b"{{.Task.Slot}}")
    assert _files(source, secrets=(_secret("a"),))[0].content == b"{{.Task.Slot}}"
    source.templating = GOLANG
    assert _files(source, secrets=(_secret("a"),))[0].content == b"2"


def test_a_template_reaches_the_tasks_own_files_and_environment() -> None:
    source = Source(
        s=b"hush", c=b'{{secret "pass"}} {{ config "/part" }} {{env "A"}}{{env "B"}}', d=b"part"
    )
    source.templating = GOLANG
    files = _files(
        source,
        secrets=(_secret("pass"),),
        configs=(_config("/conf"), _config("/part", "d")),
        env=("A=one",),
    )
    assert files[1].content == b"hush part one"


@pytest.mark.parametrize("call", ['secret "other"', 'config "other"'])
def test_a_template_reaches_nothing_else(call: str) -> None:
    source = Source(c=f"{{{{{call}}}}}".encode())
    source.templating = GOLANG
    with pytest.raises(NotFound, match="target other not found"):
        _files(source, configs=(_config("/conf"),))


def test_bytes_are_no_template() -> None:
    source = Source(s=b"\xff")
    assert _files(source, secrets=(_secret("a"),))[0].content == b"\xff"
    source.templating = GOLANG
    with pytest.raises(InvalidArgument, match="secret name-s: is to be filled in"):
        _files(source, secrets=(_secret("a"),))


def test_errors_and_representations_show_no_content() -> None:
    source = Source(s=b'hush {{unknown "hush"}}')
    source.templating = GOLANG
    with pytest.raises(InvalidArgument) as caught:
        _files(source, secrets=(_secret("a"),))
    assert "hush" not in str(caught.value)
    source.templating = None
    assert "hush" not in repr(_files(source, secrets=(_secret("a"),)))
