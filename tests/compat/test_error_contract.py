"""Requests at the edges of the API: the same status and the same words as a real Docker Swarm.

The answers in `errors-and-edges.json` were recorded from Docker Swarm 20.10.  Ours may say more, such as
the place of a member; where they say something else, `error_differences.py` says why.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.compat.conftest import DockerCli
from tests.compat.error_differences import DIFFERENCES
from tests.unit.cluster.api.golden_files import golden

pytestmark = pytest.mark.integration

CASES: list[dict[str, Any]] = golden("errors-and-edges")
SERVICE = {"Name": "fz", "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}}}
LARGE = {"secret big": "YWFh" * 200_000, "config big 1MB+": "YWFh" * 400_000}
VERSIONS = {"too new version": "/v1.99", "too old": "/v1.9"}


class Requests:
    """Sends recorded requests, with this cluster's identifiers and versions in them."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(self, case: dict[str, Any]) -> tuple[int, Any]:
        path, body = VERSIONS.get(case["name"], "") + case["path"], case["body"]
        if case["name"] in LARGE:
            name = re.sub(r"\W", "", case["name"])
            body = {"Name": name, "Data": LARGE[case["name"]]}
        kind = re.match(r"/(services|nodes|secrets|configs|swarm)", path)
        if kind is not None and case["method"] == "POST":
            path = await self._with_own(path, kind[1])
        elif kind is not None:
            path = re.sub(r"/[0-9a-z]{25}", "/fz", path)
        if isinstance(body, dict) and kind is not None and kind[1] == "swarm" and "Name" in body:
            body = {**(await self._get("/swarm"))["Spec"], **body}
        text = body if isinstance(body, str) else json.dumps(body)
        data = None if body is None else io.BytesIO(b"" if text == "b''" else text.encode())
        async with self._session.request(case["method"], f"http://d{path}", data=data) as answer:
            text = await answer.text()
            is_json = answer.headers.get("Content-Type") == "application/json"
            return answer.status, json.loads(text) if is_json and text else text

    async def _with_own(self, path: str, kind: str) -> str:
        names = {"services": "fz", "secrets": "fzs", "configs": "fzc"}
        place = "/swarm" if kind == "swarm" else f"/{kind}/{names.get(kind, '')}"
        if kind == "nodes":
            (node,) = await self._get("/nodes")
            place = f"/nodes/{node['ID']}"
        path = re.sub(rf"^/{kind}/[0-9a-z]{{25}}", place, path)
        old = re.search(r"version=(\d+)", path)
        if old is not None and old[1] == "1":
            path = path.replace(old[0], "version=999999")  # out of sequence
        elif old is not None:
            shown = await self._get(place)
            path = path.replace(old[0], f"version={shown['Version']['Index']}")
        return path

    async def _get(self, path: str) -> Any:
        async with self._session.get(f"http://d{path}") as answer:
            return await answer.json()


@pytest.fixture
async def requests(swarm: DockerCli) -> AsyncIterator[Requests]:
    connector = aiohttp.UnixConnector(str(swarm.socket))
    async with aiohttp.ClientSession(connector=connector) as session:
        for kind, body in (
            ("services", SERVICE),
            ("secrets", {"Name": "fzs", "Data": "YWJj"}),
            ("configs", {"Name": "fzc", "Data": "YWJj"}),
            ("networks", {"Name": "fzn", "Driver": "overlay"}),
        ):
            async with session.post(f"http://d/{kind}/create", json=body) as answer:
                assert answer.status == 201, await answer.text()
        yield Requests(session)


def message(response: Any) -> str:
    """The words of an answer, without what differs between clusters and releases."""
    text = response.get("message", "") if isinstance(response, dict) else str(response)
    text = re.sub(r"rpc error: code = \w+ desc = (ContainerSpec: |EndpointSpec: )?", "", text)
    return re.sub(r"\b[0-9a-z]{25}\b", "ID", text).strip().lower()


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_an_answer_is_as_recorded(requests: Requests, case: dict[str, Any]) -> None:
    status, content = await requests.send(case)
    is_same = status == case["status"]
    if status >= 400:
        is_same = is_same and message(case["response"]) in message(content)
    if case["name"] in DIFFERENCES:
        assert not is_same, "no longer different: take it off the list"
    else:
        assert is_same, f"{status} {content}, not {case['status']} {case['response']}"
