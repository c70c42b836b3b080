from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.served import KEEP_S, MAX_RUNS, MAX_SESSIONS, Runs, ServedLog

spans = st.tuples(st.integers(0, 30), st.integers(0, 4)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(spans, max_size=15))
def test_runs_are_what_a_set_of_numbers_would_say(added: list[tuple[int, int]]) -> None:
    runs, known = Runs(), set[int]()
    for first, last in added:
        runs.add(first, last)
        known |= set(range(first, last + 1))
    for msn in range(-1, 40):
        before = max((one for one in known if one <= msn), default=None)
        while before is not None and before + 1 in known:
            before += 1
        assert runs.until(msn) == before


def test_of_many_runs_the_oldest_pictures_are_forgotten() -> None:
    runs = Runs()
    for msn in range(0, 3 * MAX_RUNS, 3):
        runs.add(msn, msn)
    runs.add(3 * MAX_RUNS, 3 * MAX_RUNS)
    assert runs.until(2) is None
    assert runs.until(5) == 3


def test_sessions_are_kept_apart_and_for_a_while() -> None:
    served = ServedLog()
    served.note("ann", 3, 5, 0.0)
    served.note("bob", 7, 7, 1.0)
    assert (served.until("ann", 9), served.until("bob", 9), served.until("eve", 9)) == (5, 7, None)
    # Ann reports, Bob is silent: when somebody else comes long after, he is forgotten.
    served.touch("ann", KEEP_S - 1)
    served.touch("eve", KEEP_S - 1)
    served.note("kim", 1, 1, KEEP_S + 100)
    assert (served.until("ann", 9), served.until("bob", 9), served.until("kim", 1)) == (5, None, 1)
    assert len(served) == 2


def test_there_are_only_so_many_sessions() -> None:
    served = ServedLog()
    for number in range(MAX_SESSIONS + 10):
        served.note(str(number), 0, 0, 0.0)
    assert len(served) == MAX_SESSIONS
    assert served.until("9", 0) is None
    assert served.until("10", 0) == 0
