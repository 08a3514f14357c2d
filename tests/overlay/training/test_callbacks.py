from __future__ import annotations

from slim.training.callbacks import listen


def first(_trainer: object) -> None: ...


def second(_trainer: object) -> None: ...


def test_a_listener_is_called_once_however_often_it_asks_and_after_those_before_it() -> None:
    callbacks = {"end": [first]}
    for _ in range(2):
        listen(callbacks, "end", second)
    listen(callbacks, "start", second)

    assert callbacks == {"end": [first, second], "start": [second]}


def test_the_list_that_other_trainers_share_is_left_alone() -> None:
    shared = [first]
    listen({"end": shared}, "end", second)

    assert shared == [first]
