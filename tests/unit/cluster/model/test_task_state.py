import itertools

from cluster.model.task_state import TRANSITIONS, TaskState, Writer, may_move


def test_states_only_ever_move_up() -> None:
    for pairs in TRANSITIONS.values():
        assert all(old < new for old, new in pairs)


def test_an_ended_task_never_moves_again() -> None:
    for old, new in itertools.product(TaskState, TaskState):
        if old.is_terminal:
            assert not any(may_move(writer, old, new) for writer in Writer)


def test_remove_is_never_observed() -> None:
    for pairs in TRANSITIONS.values():
        assert all(TaskState.REMOVE not in pair for pair in pairs)
