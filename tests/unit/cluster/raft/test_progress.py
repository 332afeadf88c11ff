from __future__ import annotations

from cluster.raft.progress import Progress, SendMode


def replicating(match: int = 5, window: int = 2) -> Progress:
    progress = Progress(match + 1, window, 1 << 20)
    progress.accepted(match)
    progress.replicate()
    return progress


def test_a_probe_waits_for_its_answer_or_a_heartbeat() -> None:
    progress = Progress(6, 2, 1 << 20)
    assert not progress.is_paused
    progress.sent(5, 0, 0)
    assert progress.is_paused
    progress.heartbeat_answered()
    assert not progress.is_paused
    assert progress.recent_active


def test_the_window_fills_and_empties() -> None:
    progress = replicating()
    progress.sent(6, 1, 10)
    assert progress.next == 7
    progress.sent(8, 2, 20)
    assert progress.is_paused
    assert progress.accepted(6)
    assert progress.inflight_messages == 1
    assert progress.accepted(8)
    assert progress.inflight_messages == 0
    assert not progress.accepted(7)
    assert (progress.match, progress.next) == (8, 9)


def test_an_empty_message_takes_no_place_in_the_window() -> None:
    progress = replicating()
    progress.sent(5, 0, 0)
    assert (progress.next, progress.inflight_messages) == (6, 0)


def test_a_refusal_steps_back_as_far_as_the_hint() -> None:
    progress = Progress(10, 2, 1 << 20)
    progress.sent(9, 0, 0)
    assert progress.rejected(9, 4)
    assert progress.next == 5
    assert not progress.is_paused
    assert not progress.rejected(9, 2), "an answer to an older probe"


def test_an_overtaken_refusal_is_ignored() -> None:
    progress = replicating(match=5)
    assert not progress.rejected(4, 1)
    assert progress.next == 6
    progress.sent(9, 4, 40)
    assert progress.rejected(9, 5)
    assert progress.next == 6


def test_nothing_is_sent_while_a_snapshot_is_on_its_way() -> None:
    progress = Progress(3, 2, 1 << 20)
    progress.wait_for_snapshot(20)
    assert progress.is_paused
    progress.probe()
    assert (progress.mode, progress.next) == (SendMode.PROBE, 21)


def test_a_full_window_lets_one_more_through_after_a_heartbeat() -> None:
    progress = replicating(window=1)
    progress.sent(6, 1, 10)
    assert progress.is_paused
    progress.heartbeat_answered()
    assert not progress.is_paused


def test_the_window_also_has_a_size() -> None:
    progress = Progress(6, 100, 25)
    progress.accepted(5)
    progress.replicate()
    progress.sent(6, 1, 20)
    assert not progress.is_paused
    progress.sent(7, 1, 20)
    assert progress.is_paused
    progress.accepted(6)
    assert not progress.is_paused
