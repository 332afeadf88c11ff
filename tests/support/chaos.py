"""Histories of clients that compare and set by way of all managers while these die and come back.

The faults of a schedule, and what the clients do, come from its seed; how they meet is up to the
machine, so a seed repeats a schedule and not a history.
"""

from __future__ import annotations

import http.client
import math
import random
import threading
import time
from pathlib import Path

from tests.support.cluster import wait_for
from tests.support.lab_engine import call
from tests.support.lab_host import LabError
from tests.support.linearizability import Operation, Value
from tests.support.manager_group import MANAGERS, ManagerGroup

CLIENTS = 5
KEYS = 2
ASK_S = 3.0
PAUSE_S = 0.02
LABEL = "value"
OUT_OF_SEQUENCE = "update out of sequence"


class Schedule:
    """One schedule of faults over one cluster."""

    def __init__(self, group: ManagerGroup, seed: int, duration_s: float = 6.0) -> None:
        """Prepare; the cluster must be whole.

        Args:
            group: the cluster.
            seed: decides faults and requests.
            duration_s: for how long things go wrong.
        """
        self._group = group
        self._seed = seed
        self._duration_s = duration_s
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._began_s = time.monotonic()
        self._names: dict[str, str] = {}
        self.history: list[Operation] = []
        self.faults: list[str] = []

    def run(self) -> list[Operation]:
        """Let everything happen, heal, and return what the clients saw."""
        leader = self._group.leader(MANAGERS)
        keys = [self._new_key(leader, number) for number in range(KEYS)]
        threads = [
            threading.Thread(target=self._client, args=(f"c{number}", keys))
            for number in range(CLIENTS)
        ]
        self._began_s = time.monotonic()
        for thread in threads:
            thread.start()
        try:
            self._hurt()
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
            self._group.heal()
        for host in MANAGERS:  # what everybody says in the end belongs to the history
            for key in keys:
                wait_for(f"h{host} to show {key}", lambda h=host, k=key: self._read("end", h, k))
        for key in keys:
            call(self._socket(host), "DELETE", f"/configs/{key}")
        return self.history

    def _now(self) -> float:
        return time.monotonic() - self._began_s

    def _socket(self, host: int) -> Path:
        return self._group.lab.host(host).stackd_socket

    def _new_key(self, host: int, number: int) -> str:
        name = f"chaos-{self._seed}-{number}-{time.time_ns()}"
        body = {"Name": name, "Data": "eA=="}
        key = str(call(self._socket(host), "POST", "/configs/create", body)["ID"])
        self._names[key] = name
        return key

    # ---- faults

    def _hurt(self) -> None:
        rng = random.Random(f"faults {self._seed}")
        group = self._group
        while self._now() < self._duration_s:
            time.sleep(rng.uniform(0.1, 0.8))
            count = rng.choice([1, 1, 1, 2, 3])
            how = rng.choice(["kill", "freeze", "cut"])
            victims = rng.sample(MANAGERS, count)
            if rng.random() < 0.5 and (leader := group.find_leader(MANAGERS)):
                victims = [leader, *(v for v in victims if v != leader)][:count]
            self.faults.append(f"{self._now():.2f} {how} {victims}")
            for victim in victims:
                group.hurt(victim, how)
            time.sleep(rng.uniform(0.2, 2.5))
            for victim in victims:
                self._mend(victim, how)
            self.faults.append(f"{self._now():.2f} mended")

    def _mend(self, host: int, how: str) -> None:
        lab = self._group.lab
        match how:
            case "kill":
                lab.start_stackd(host)
            case "freeze":
                lab.thaw(host)
            case _:
                lab.link(host, "up")

    # ---- clients

    def _client(self, name: str, keys: list[str]) -> None:
        rng = random.Random(f"client {name} {self._seed}")
        known: dict[str, tuple[int, Value]] = {}
        number = 0
        while not self._over.is_set():
            time.sleep(rng.uniform(0, 2 * PAUSE_S))
            host, key = rng.choice(MANAGERS), rng.choice(keys)
            if key not in known or rng.random() < 0.4:
                found = self._read(name, host, key)
                if found:
                    known[key] = found
                continue
            number += 1
            self._write(name, host, key, known.pop(key), f"{name}.{number}")

    def _read(self, client: str, host: int, key: str) -> tuple[int, Value] | None:
        called = self._now()
        try:
            found = call(self._socket(host), "GET", f"/configs/{key}", timeout_s=ASK_S)
        except (LabError, OSError, http.client.HTTPException):
            return None
        value = (found["Spec"].get("Labels") or {}).get(LABEL)
        self._add(Operation(key, called, self._now(), value, client=f"{client}@h{host}"))
        return found["Version"]["Index"], value

    def _write(self, client: str, host: int, key: str, seen: tuple[int, Value], value: str) -> None:
        version, expected = seen
        called = self._now()

        def done(outcome: str, returned: float) -> None:
            who = f"{client}@h{host}"
            self._add(Operation(key, called, returned, expected, value, outcome, who))  # type: ignore[arg-type]

        body = {"Name": self._names[key], "Labels": {LABEL: value}}
        path = f"/configs/{key}/update?version={version}"
        try:
            call(self._socket(host), "POST", path, body, timeout_s=ASK_S)
        except LabError as error:
            refused = OUT_OF_SEQUENCE in str(error)
            done("refused" if refused else "unknown", self._now() if refused else math.inf)
        except (OSError, http.client.HTTPException):
            done("unknown", math.inf)
        else:
            done("done", self._now())

    def _add(self, operation: Operation) -> None:
        with self._lock:
            self.history.append(operation)
