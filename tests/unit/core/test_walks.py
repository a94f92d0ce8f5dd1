"""How far claims look: among the first rows, and past all that are held now and then."""

from __future__ import annotations

from atomos.core.adapters.walks import Walks


def test_a_claim_looks_among_the_first_rows() -> None:
    walks = Walks(rows=7)

    assert walks.next("mail") == 7


def test_one_that_found_what_it_asked_for_is_followed_by_the_same() -> None:
    walks = Walks(rows=7)

    walks.walked("mail", 7, is_short=False, seconds=0.0)

    assert walks.next("mail") == 7


def test_one_that_came_up_short_is_followed_by_one_that_looks_among_all() -> None:
    walks = Walks(rows=7)

    walks.walked("mail", 7, is_short=True, seconds=0.0)

    assert walks.next("mail") is None
    assert walks.next("stock") == 7


def test_after_a_long_walk_it_looks_among_the_first_rows_for_a_while() -> None:
    walks = Walks(rows=7)

    walks.walked("mail", None, is_short=True, seconds=3600.0)

    assert walks.next("mail") == 7
