"""The judge is judged: histories made from a known order, and others with one result wrong."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
import time

import pytest

from tests.support.linearizability import Operation, Value, check


def read(called: float, returned: float, value: Value) -> Operation:
    return Operation("k", called, returned, value)


def write(
    called: float, returned: float, expected: Value, written: str, outcome: str = "done"
) -> Operation:
    return Operation("k", called, returned, expected, written, outcome)  # type: ignore[arg-type]


def test_one_after_the_other() -> None:
    assert check([write(0, 1, None, "a"), read(2, 3, "a"), write(4, 5, "a", "b")]) == ""


def test_a_read_must_see_what_was_acknowledged_before() -> None:
    assert "no order" in check([write(0, 1, None, "a"), read(2, 3, None)])
    assert check([write(0, 2.5, None, "a"), read(2, 3, None)]) == ""


def test_reads_do_not_go_back() -> None:
    writing = write(0, 10, None, "a")
    assert check([writing, read(1, 2, None), read(3, 4, "a")]) == ""
    assert "no order" in check([writing, read(1, 2, "a"), read(3, 4, None)])


def test_two_cannot_both_win() -> None:
    assert "no order" in check([write(0, 5, None, "a"), write(0, 5, None, "b")])
    assert check([write(0, 5, None, "a"), write(0, 5, None, "b", "refused")]) == ""


def test_a_refusal_needs_a_reason() -> None:
    assert "no order" in check([write(0, 1, None, "b", "refused")])


def test_an_unknown_write_may_happen_late_or_never() -> None:
    unknown = write(0, math.inf, None, "a", "unknown")
    assert check([unknown, read(1, 2, None)]) == ""
    assert check([unknown, read(1, 2, None), read(3, 4, "a")]) == ""
    assert check([unknown, read(1, 2, "a")]) == ""
    assert "no order" in check([unknown, read(1, 2, "a"), read(3, 4, None)])
    # It may have cost another one its turn.
    assert check([unknown, write(1, 2, None, "b", "refused"), read(3, 4, "a")]) == ""


def test_keys_are_judged_apart() -> None:
    other = dataclasses.replace(write(0, 1, None, "a"), key="other")
    assert check([other, read(2, 3, None)]) == ""
    assert check([other, write(0, 1, None, "a"), read(2, 3, None)]).startswith("k: ")


def made(rng: random.Random, count: int, clients: int) -> list[Operation]:
    """A history with a true order: each operation takes place at a moment within its time."""
    state: Value = None
    history: list[Operation] = []
    free = [0.0] * clients
    for number in range(count):
        moment = number + 1.0
        client = rng.randrange(clients)
        called = max(free[client], moment - rng.uniform(0, clients))
        if called > moment:
            continue
        free[client] = returned = moment + rng.uniform(0, clients)
        kind = rng.random()
        if kind < 0.4:
            history.append(read(called, returned, state))
            continue
        expected = state if kind < 0.8 else f"old-{number}"
        written = f"value-{number}"
        if expected == state:
            state = written
            outcome = "done"
        else:
            outcome = "refused"
        if rng.random() < 0.1:
            outcome, returned = "unknown", math.inf
        history.append(write(called, returned, expected, written, outcome))
    rng.shuffle(history)
    return history


@pytest.mark.parametrize("seed", range(30))
def test_histories_with_an_order_are_accepted(seed: int) -> None:
    rng = random.Random(seed)
    assert check(made(rng, rng.choice([5, 50, 300]), rng.choice([2, 5, 12]))) == ""


@pytest.mark.parametrize("seed", range(30))
def test_agrees_with_trying_every_order(seed: int) -> None:
    rng = random.Random(seed)
    verdicts = set()
    for _ in range(60):
        history = made(rng, 7, 4)[:6]
        for _ in range(rng.randint(0, 2)):
            place = rng.randrange(len(history))
            other = rng.choice(history)
            history[place] = dataclasses.replace(history[place], expected=other.expected)
        verdict = check(history) == ""
        assert verdict == any(explains(order) for order in orders(history))
        verdicts.add(verdict)
    assert verdicts == {True, False}


def orders(history: list[Operation]) -> itertools.chain[tuple[Operation, ...]]:
    certain = [operation for operation in history if operation.outcome != "unknown"]
    unknown = [operation for operation in history if operation.outcome == "unknown"]
    return itertools.chain.from_iterable(
        itertools.permutations([*certain, *taken])
        for size in range(len(unknown) + 1)
        for taken in itertools.combinations(unknown, size)
    )


def explains(order: tuple[Operation, ...]) -> bool:
    state: Value = None
    for place, operation in enumerate(order):
        if any(later.returned < operation.called for later in order[place + 1 :]):
            return False
        after = operation.apply(state)
        if after is False:
            return False
        state = after
    return True


def test_a_long_history_is_judged_in_time() -> None:
    rng = random.Random(1)
    began = time.process_time()
    assert check(made(rng, 3000, 10)) == ""
    print(f"3000 operations: {time.process_time() - began:.2f} s")
