"""``stack config``, whole, on files."""

import json
from pathlib import Path

import pytest

from stack.cli.main import run

FILE = """\
name: shop
services:
  web:
    image: "web:${TAG:-1}"
    ports: [{target: 80, mode: host, app_protocol: http}]
    environment: {SAID: "a$$b"}
    volumes: ["data:/data"]
    networks: [front]
    secrets: [password]
    x-note: kept
  tool: {build: ., profiles: [tools]}
networks: {front: , unused: }
volumes: {data: }
secrets: {password: {environment: PASSWORD}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("compose.yaml").write_text(FILE)
    return tmp_path


def config(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    found = run(["config", *arguments])
    out, err = capsys.readouterr()
    assert found == code, err
    return out if code == 0 else err


def test_both_formats_load_again_to_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    shown = config(capsys, "--format", "json", "--profile", "tools")
    for form in ("json", "yaml"):
        config(capsys, "--format", form, "--profile", "*", "-o", f"again.{form}")
        again = config(capsys, "-c", f"again.{form}", "--format", "json", "--profile", "tools")
        assert json.loads(again) == json.loads(shown)
    assert json.loads(shown)["services"]["web"]["environment"] == {"SAID": "a$$b"}
    assert "x-note: kept" in config(capsys)


@pytest.mark.parametrize(
    ("option", "lines"),
    [
        ("--services", ["web"]),
        ("--volumes", ["data"]),
        ("--networks", ["front"]),
        ("--images", ["web:1"]),
        ("--profiles", ["tools"]),
    ],
)
def test_lists(capsys: pytest.CaptureFixture[str], option: str, lines: list[str]) -> None:
    assert config(capsys, option).splitlines() == lines


def test_lists_need_no_env_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("e.yml").write_text("services: {a: {image: x, env_file: none.env}}")
    assert "none.env" in config(capsys, "-c", "e.yml", code=2)
    assert config(capsys, "-c", "e.yml", "--services") == "a\n"


def test_an_image_that_is_built_has_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    found = config(capsys, "--images", "--profile", "tools").splitlines()
    assert found == ["shop-tool", "web:1"]


def test_a_hash_changes_with_what_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = config(capsys, "--hash", "*")
    assert before == config(capsys, "--hash", "web")
    Path("over.yml").write_text("services: {web: {deploy: {replicas: 3}, scale: 3}}")
    name, _, found = config(
        capsys, "-c", "compose.yaml", "-c", "over.yml", "--hash", "web"
    ).partition(" ")
    assert (name, len(found.strip())) == ("web", 64)
    monkeypatch.setenv("TAG", "2")
    assert config(capsys, "--hash", "web") != before
    assert "there is no service 'nope'" in config(capsys, "--hash", "nope", code=2)


def test_variables_can_be_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Path("v.yml").write_text(
        "services: {a: {image: 'x:${V}', ports: ['${P}:80'], cpus: '${C}', env_file: no.env}}"
    )
    shown = json.loads(config(capsys, "-c", "v.yml", "--no-interpolate", "--format", "json"))
    service = shown["services"]["a"]
    assert (service["image"], service["ports"], service["cpus"]) == ("x:${V}", ["${P}:80"], "${C}")
    assert service["env_file"][0]["path"].endswith("/no.env")


def test_quiet_only_checks(capsys: pytest.CaptureFixture[str]) -> None:
    assert config(capsys, "-q") == ""
    Path("bad.yml").write_text("services: {a: {imagee: x}}")
    assert config(capsys, "-c", "bad.yml", "-q", code=2) == (
        "error: bad.yml:1: services.a: unknown key 'imagee' (did you mean 'image'?)\n"
    )


def test_strict_refuses_what_is_not_applied(capsys: pytest.CaptureFixture[str]) -> None:
    Path("s.yml").write_text(
        "version: '3'\nservices:\n  a: {image: x, ports: [{target: 1, mode: host, app_protocol: h}]}\n"
    )
    config(capsys, "-c", "s.yml")
    assert config(capsys, "-c", "s.yml", "--strict", code=2).splitlines() == [
        "warning: s.yml:1: version: is no longer needed and ignored",
        "error: s.yml:3: services.a.ports[0].app_protocol: not applied",
        "nothing is done, because of --strict",
    ]


def test_no_secret_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "hunter2")
    Path("pw.txt").write_text("hunter2")
    Path("more.yml").write_text(
        "secrets: {other: {file: pw.txt}}\nservices: {web: {secrets: [other]}}"
    )
    for arguments in ((), ("--format", "json"), ("--no-interpolate",), ("--hash", "*")):
        shown = config(capsys, "-c", "compose.yaml", "-c", "more.yml", *arguments)
        assert "hunter2" not in shown


def test_an_env_file_s_values_are_not_in_errors(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.env").write_text("PASSWORD=hunter2${\n")
    err = config(capsys, "--env-file", "bad.env", code=2)
    assert err.startswith("error: bad.env:1: PASSWORD: ")
    assert "hunter2" not in err
