"""A migration that all other services wait for."""

import json

import pytest

from stack.errors import ComposeError
from stack.translate.extensions import EXTENSION_LABEL
from stack.translate.stack_spec import stack_spec
from tests.unit.stack.project import load_texts

FILE = """
services:
  web: {image: i, depends_on: [db]}
  worker: {image: i}
  migrate:
    image: i
    command: migrate
    x-stack: {pre_deploy: true}
    depends_on: {db: {condition: service_healthy}}
  db: {image: db, depends_on: [disk]}
  disk: {image: disk}
"""


def services(text: str) -> dict[str, dict]:
    spec = stack_spec(load_texts(text, stack="st").compose)
    return {service["Name"]: service for service in spec.services}


def waits_for(service: dict) -> dict[str, str]:
    document = json.loads(service["Labels"].get(EXTENSION_LABEL, "{}"))
    return {name: one["condition"] for name, one in document.get("depends_on", {}).items()}


def test_it_is_a_job_and_all_that_it_does_not_need_waits_for_it() -> None:
    made = services(FILE)
    assert made["st_migrate"]["Mode"] == {
        "ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}
    }
    assert made["st_migrate"]["TaskTemplate"]["RestartPolicy"] == {"Condition": "none"}
    done = "service_completed_successfully"
    assert {name: waits_for(service) for name, service in made.items()} == {
        "st_web": {"st_migrate": done, "st_db": "service_started"},
        "st_worker": {"st_migrate": done},
        "st_migrate": {"st_db": "service_healthy"},
        "st_db": {"st_disk": "service_started"},
        "st_disk": {},
    }


def test_a_policy_of_the_file_is_kept() -> None:
    policy = "deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}"
    made = services(f"services: {{m: {{image: i, x-stack: {{pre_deploy: true}}, {policy}}}}}")
    assert made["st_m"]["TaskTemplate"]["RestartPolicy"]["MaxAttempts"] == 2


def test_an_unknown_key_of_ours_is_refused() -> None:
    with pytest.raises(ComposeError, match=r"services\.m\.x-stack\.predeploy: unknown"):
        services("services: {m: {image: i, x-stack: {predeploy: true}}}")
    assert (
        "Replicated"
        in services("services: {m: {image: i, x-stack: {pre_deploy: false}}}")["st_m"]["Mode"]
    )
