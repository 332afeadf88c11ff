from cluster.control.backoff import FIRST_NS, LONGEST_NS, pause_ns


def test_pauses_double_up_to_the_longest() -> None:
    assert [pause_ns(n) for n in (1, 2, 3)] == [FIRST_NS, 2 * FIRST_NS, 4 * FIRST_NS]
    assert pause_ns(50) == LONGEST_NS
