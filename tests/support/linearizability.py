"""Decides whether a history of concurrent operations could have happened one after the other.

A history is linearizable (Herlihy and Wing, 1990) if each operation can be given one moment
between its call and its return so that, in the order of these moments, all results are right.
The search is that of Wing and Gong (1993) with the memory of Lowe (2017): try whatever may come
first, go back where it leads nowhere, and never look twice at the same set of operations done
with the same state. Keys are independent, so each has a history of its own.

The object is a register that is read and compared-and-set. Values are told apart by their writer,
so that no value is ever written twice.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Literal

Value = str | None
Outcome = Literal["done", "refused", "unknown"]


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of one client.

    Attributes:
        key: what it was about.
        called: when the client asked.
        returned: when it got its answer; infinite for `unknown`.
        expected: the value a compare-and-set went from; for a read, the value it saw.
        written: the value a compare-and-set went to, None for a read.
        outcome: "done": a read, or a write that took place; "refused": a compare-and-set that
            found another value than the expected one; "unknown": a write of which nobody can say
            whether it took place or ever will.
        client: who did it, for people.
    """

    key: str
    called: float
    returned: float
    expected: Value
    written: Value = None
    outcome: Outcome = "done"
    client: str = ""

    @property
    def is_read(self) -> bool:
        """Whether it only looked."""
        return self.written is None

    def apply(self, state: Value) -> Value | Literal[False]:
        """Return the state afterwards, False if the operation cannot come now."""
        if self.is_read:
            return state if state == self.expected else False
        if self.outcome == "refused":
            return state if state != self.expected else False
        # One that is unknown may also never happen: then it is not taken at all.
        return self.written if state == self.expected else False

    def __str__(self) -> str:
        """Say it in a line."""
        what = f"read {self.expected}" if self.is_read else f"{self.expected} -> {self.written}"
        until = "" if math.isinf(self.returned) else f"{self.returned:.6f}"
        return f"{self.called:.6f}..{until:<15} {self.client:<8} {self.key} {what} {self.outcome}"


def check(history: Iterable[Operation], initial: Value = None) -> str:
    """Return "" if the history is linearizable, else what is wrong with it.

    Args:
        history: operations of any number of keys, in any order.
        initial: what every key holds at first.
    """
    by_key: dict[str, list[Operation]] = {}
    for operation in history:
        by_key.setdefault(operation.key, []).append(operation)
    for key, operations in by_key.items():
        stuck = _search(operations, initial)
        if stuck is not None:
            lines = "\n".join(str(operation) for operation in stuck)
            return (
                f"{key}: no order of the operations explains their results, at the latest:\n{lines}"
            )
    return ""


def _search(operations: Sequence[Operation], initial: Value) -> list[Operation] | None:
    """Return None if there is an order, else the operations around the place of the failure."""
    ordered = sorted(operations, key=lambda operation: operation.called)
    must = 0  # those who returned: every one needs a place
    for number, operation in enumerate(ordered):
        if operation.outcome != "unknown":
            must |= 1 << number
    done, state = 0, initial
    seen: set[tuple[int, Value]] = set()
    # One frame for each operation taken: what was before, and what else may be tried there.
    frames: list[tuple[int, Value, list[int]]] = [(done, state, _next(ordered, done, state))]
    deepest = 0
    while frames:
        done, state, choices = frames[-1]
        if done & must == must:
            return None
        if not choices:
            frames.pop()
            continue
        number = choices.pop()
        after = ordered[number].apply(state)
        assert after is not False
        now_done = done | 1 << number
        if (now_done, after) in seen:
            continue
        seen.add((now_done, after))
        if now_done.bit_count() > deepest.bit_count():
            deepest = now_done
        frames.append((now_done, after, _next(ordered, now_done, after)))
    first = next(i for i in range(len(ordered)) if not deepest >> i & 1 and must >> i & 1)
    return ordered[max(0, first - 8) : first + 8]


def _next(ordered: Sequence[Operation], done: int, state: Value) -> list[int]:
    """Return who may come next: nobody whose call came after the return of one that is not done.

    The most promising is the last.
    """
    found: list[int] = []
    horizon = math.inf
    number = (~done & done + 1).bit_length() - 1  # the first that is not done
    while number < len(ordered) and ordered[number].called <= horizon:
        if not done >> number & 1:
            operation = ordered[number]
            horizon = min(horizon, operation.returned)
            if operation.apply(state) is not False:
                found.append(number)
        number += 1
    found = [n for n in found if ordered[n].called <= horizon]
    # What returned first most likely came first; those of unknown outcome only if nothing else fits.
    return sorted(found, key=lambda n: ordered[n].returned, reverse=True)
