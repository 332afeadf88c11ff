from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from stack.check.check import check
from stack.check.report import json_report, summary, text_report
from stack.check.rules import RULES
from stack.check.sarif import sarif_report
from stack.cli.main import run
from stack.compose.source import Source, SourceFile

TEXT = """\
services:
  web:
    image: nginx:1.27
    container_name: web
    volumes: [./conf:/etc/conf]
"""
FOUND = check(Source((SourceFile("my file.yml", TEXT.encode()),), "/srv/shop", {}, "/home/u"))


def test_the_text_names_place_rule_problem_and_remedy() -> None:
    lines = text_report(FOUND).splitlines()
    assert lines[0] == "my file.yml:4: warning [container-name]"
    assert lines[1].startswith("    services.web.container_name: containers are named after")
    assert lines[2].startswith("    instead: leave it out")
    assert lines[3] == "my file.yml:5: error [bind-relative]"
    assert lines[-1] == "1 error, 1 warning, 0 notes"


def test_nothing_found() -> None:
    assert summary(()) == text_report(()) == "nothing found: the project can run on several nodes"
    assert json.loads(json_report(())) == {
        "findings": [],
        "counts": {"error": 0, "warning": 0, "note": 0},
    }
    assert json.loads(sarif_report((), RULES, "1.0.0"))["runs"][0]["results"] == []


def test_json() -> None:
    document = json.loads(json_report(FOUND))
    assert document["counts"] == {"error": 1, "warning": 1, "note": 0}
    one = document["findings"][1]
    assert (one["rule"], one["severity"], one["file"], one["line"]) == (
        "bind-relative",
        "error",
        "my file.yml",
        5,
    )


def test_sarif_places_each_result_and_refers_to_its_rule() -> None:
    log = json.loads(sarif_report(FOUND, RULES, "1.0.0"))
    assert log["version"] == "2.1.0"
    (job,) = log["runs"]
    driver = job["tool"]["driver"]
    assert [rule["id"] for rule in driver["rules"]] == [rule.id for rule in RULES]
    for result in job["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"error", "warning", "note"}
        assert result["message"]["text"]
    place = job["results"][1]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "my%20file.yml"
    assert place["region"]["startLine"] == 5


def _closed(required: list[str], **properties: object) -> dict[str, object]:
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }


_TEXT = _closed(["text"], text={"type": "string", "minLength": 1})
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
_COUNT = {"type": "integer", "minimum": 1}
SARIF = _closed(
    ["version", "runs"],
    **{"$schema": {"type": "string", "pattern": "^https://.*sarif-schema-2.1.0.json$"}},
    version={"const": "2.1.0"},
    runs={
        "type": "array",
        "items": _closed(
            ["tool"],
            tool=_closed(
                ["driver"],
                driver=_closed(
                    ["name"],
                    name={"type": "string"},
                    semanticVersion={"type": "string"},
                    rules={
                        "type": "array",
                        "uniqueItems": True,
                        "items": _closed(
                            ["id"],
                            id={"type": "string"},
                            shortDescription=_TEXT,
                            fullDescription=_TEXT,
                            help=_TEXT,
                            defaultConfiguration=_closed([], level=_LEVEL),
                        ),
                    },
                ),
            ),
            columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
            results={
                "type": "array",
                "items": _closed(
                    ["message"],
                    ruleId={"type": "string"},
                    ruleIndex={"type": "integer", "minimum": -1},
                    level=_LEVEL,
                    message=_TEXT,
                    locations={
                        "type": "array",
                        "uniqueItems": True,
                        "items": _closed(
                            [],
                            physicalLocation=_closed(
                                ["artifactLocation"],
                                artifactLocation=_closed([], uri={"type": "string"}),
                                region=_closed([], startLine=_COUNT, startColumn=_COUNT),
                            ),
                        ),
                    },
                ),
            },
        ),
    },
)
"""The part of the SARIF 2.1.0 schema that we use, closed against anything else."""


@pytest.mark.parametrize("text", [TEXT, "", "a: [", "services: {web: {image: x, imagee: y}}"])
def test_sarif_keeps_to_the_format(text: str) -> None:
    findings = check(Source((SourceFile("<stdin>", text.encode()),), "/srv/shop", {}, "/home/u"))
    jsonschema.validate(json.loads(sarif_report(findings, RULES, "1.0.0")), SARIF)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "docker-compose.yml"
    path.write_text(TEXT)
    return path


def test_the_command_fails_on_errors_only(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", str(project)]) == 1
    assert "[bind-relative]" in capsys.readouterr().out
    assert run(["check", str(project), "--ignore", "bind-relative"]) == 0
    assert run(["check", str(project), "--ignore", "bind-relative", "--strict"]) == 1
    ignored = ["--ignore", "bind-relative", "--ignore", "container-name"]
    assert run(["check", "-c", str(project), *ignored, "--strict"]) == 0


def test_the_command_writes_json_and_sarif(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", str(project), "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["counts"]["error"] == 1
    assert run(["check", str(project), "--format", "sarif"]) == 1
    results = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    place = results[0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == f"file://{project}"


def test_wrong_usage_is_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(tmp_path / "none.yml")]) == 2
    assert run(["check", "--ignore", "nonsense"]) == 2
    assert "'nonsense' is none of" in capsys.readouterr().err
