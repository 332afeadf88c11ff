"""Failed attempts to join are braked, one address at a time."""

from cluster.rpc.attempt_limit import FAILURES, WINDOW_S, AttemptLimit


def failed(times: int) -> AttemptLimit:
    limit = AttemptLimit()
    for second in range(times):
        limit.failed("a", float(second))
    return limit


def test_a_few_failures_are_free() -> None:
    assert failed(FAILURES - 1).wait_s("a", 9.0) == 0.0


def test_then_the_address_waits_until_the_first_is_forgotten() -> None:
    limit = failed(FAILURES)
    assert limit.wait_s("a", 10.0) == WINDOW_S - 10.0
    assert limit.wait_s("b", 10.0) == 0.0
    assert limit.wait_s("a", WINDOW_S) == 0.0


def test_a_success_forgets_failures() -> None:
    limit = failed(FAILURES)
    limit.succeeded("a")
    assert limit.wait_s("a", 10.0) == 0.0


def test_memory_is_bounded() -> None:
    limit = failed(FAILURES)
    for number in range(5000):
        limit.failed(f"x{number}", 20.0)
    assert limit.wait_s("a", 20.0) == 0.0
    assert len(limit._failures) <= 1024
