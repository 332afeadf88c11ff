from cluster.control.work_queue import WorkQueue
from cluster.model.units import Timestamp


def test_a_key_stands_in_the_queue_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("b")
    queue.add("a")
    assert [queue.pop(Timestamp(0)) for _ in range(3)] == ["a", "b", None]


def test_a_later_key_comes_when_its_time_has_come() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_at("a", Timestamp(10))
    assert queue.pop(Timestamp(9)) is None
    assert queue.next_due() == 10
    assert queue.pop(Timestamp(10)) == "a"
    assert queue.next_due() is None


def test_a_new_time_replaces_the_old_one() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_at("a", Timestamp(10))
    queue.add_at("a", Timestamp(20))
    assert queue.next_due() == 20
    assert queue.pop(Timestamp(15)) is None
    assert queue.pop(Timestamp(20)) == "a"
    assert queue.pop(Timestamp(20)) is None


def test_a_key_that_is_due_now_forgets_its_later_time() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_at("a", Timestamp(10))
    queue.add("a")
    queue.add_at("a", Timestamp(30))
    assert queue.next_due() == 0
    assert queue.pop(Timestamp(0)) == "a"
    assert queue.pop(Timestamp(100)) is None
