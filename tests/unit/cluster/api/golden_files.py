"""Recorded answers of a real Docker Swarm, and moments read back from their text."""

from __future__ import annotations

import calendar
import json
import time
from pathlib import Path
from typing import Any

import msgspec

from cluster.model.meta import Meta
from cluster.model.units import Timestamp

FOLDER = Path(__file__).parent / "golden"


def golden(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def moment(text: str) -> Timestamp:
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return Timestamp(seconds * 1_000_000_000 + int(fraction.ljust(9, "0") or 0))


def meta(shown: dict[str, Any]) -> Meta:
    return Meta(
        version=shown["Version"]["Index"],
        created_at=moment(shown["CreatedAt"]),
        updated_at=moment(shown["UpdatedAt"]),
    )


def as_json(shown: Any) -> Any:
    """What a client reads: lists for tuples, text for text."""
    return json.loads(msgspec.json.encode(shown))
