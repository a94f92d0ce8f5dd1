"""What every repository and its unit of work must do, whatever keeps the aggregates."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from atomos.core.domain import Aggregate, Event
from atomos.core.service import Conflict, NotOpen, Repository, UnitOfWork

from ..probing import handling

_TOGETHER_SECONDS = 0.5


class Noted(Event, name="atomos.testing.noted"):
    """Something that an aggregate says without being changed."""


class RepositorySuite:
    """Subclass it, and give these fixtures.

    `new_uow` makes a unit of work, `repository_of` gives its repository, `make` makes an aggregate from an identity,
    `change_root` and `change_child` change one so that this can be repeated.
    """

    @pytest.fixture
    def obey(self, new_uow: Callable[[], UnitOfWork]) -> Callable[[Callable[[Any], object]], None]:
        """What runs a function in a unit of work of its own, in a handling of its own, and commits."""

        def obey(work: Callable[[Any], object]) -> None:
            with handling(), new_uow() as uow:
                work(uow)
                uow.commit()

        return obey

    @pytest.fixture
    def version_of(self, obey: Any, repository_of: Callable[[Any], Repository[Any]]) -> Callable[[str], int]:
        """What tells an aggregate's version."""

        def version_of(identity: str) -> int:
            versions: list[int] = []
            obey(lambda uow: versions.append(repository_of(uow).get(identity).version))
            return versions[0]

        return version_of

    def test_what_was_added_is_found(self, obey: Any, repository_of: Any, make: Any) -> None:
        obey(lambda uow: repository_of(uow).add(make("a")))
        found: list[Aggregate] = []
        obey(lambda uow: found.append(repository_of(uow).get("a")))
        assert found[0].identity == "a"

    def test_what_is_not_there_is_none_to_find_and_an_error_to_get(
        self, obey: Any, repository_of: Any
    ) -> None:
        obey(lambda uow: _assert(repository_of(uow).find("nothing") is None))
        with pytest.raises(Repository.missing):
            obey(lambda uow: repository_of(uow).get("nothing"))

    def test_the_same_aggregate_is_handed_out_twice(self, obey: Any, repository_of: Any, make: Any) -> None:
        obey(lambda uow: repository_of(uow).add(make("a")))
        obey(lambda uow: _assert(repository_of(uow).get("a") is repository_of(uow).get("a")))

    def test_leaving_without_a_commit_changes_nothing(
        self, new_uow: Any, obey: Any, repository_of: Any, make: Any, change_root: Any, version_of: Any
    ) -> None:
        obey(lambda uow: repository_of(uow).add(make("a")))
        with handling(), new_uow() as uow:
            change_root(repository_of(uow).get("a"))
            repository_of(uow).add(make("b"))
        obey(lambda uow: _assert(repository_of(uow).find("b") is None))
        assert version_of("a") == 1

    def test_an_error_changes_nothing(self, obey: Any, repository_of: Any, make: Any) -> None:
        def fail(uow: Any) -> None:
            repository_of(uow).add(make("a"))
            raise RuntimeError("on purpose")

        with pytest.raises(RuntimeError, match="on purpose"):
            obey(fail)
        obey(lambda uow: _assert(repository_of(uow).find("a") is None))

    def test_a_change_of_the_root_raises_the_version(
        self, obey: Any, repository_of: Any, make: Any, change_root: Any, version_of: Any
    ) -> None:
        obey(lambda uow: repository_of(uow).add(make("a")))
        obey(lambda uow: change_root(repository_of(uow).get("a")))
        assert version_of("a") == 2

    def test_a_change_of_a_child_alone_raises_the_version(
        self, obey: Any, repository_of: Any, make: Any, change_child: Any, version_of: Any
    ) -> None:
        obey(lambda uow: repository_of(uow).add(make("a")))
        obey(lambda uow: change_child(repository_of(uow).get("a")))
        assert version_of("a") == 2

    def test_an_event_without_a_change_raises_the_version(
        self, obey: Any, repository_of: Any, make: Any, version_of: Any
    ) -> None:
        obey(lambda uow: repository_of(uow).add(make("a")))
        obey(lambda uow: repository_of(uow).get("a").record(Noted()))
        assert version_of("a") == 2

    def test_looking_at_an_aggregate_does_not_raise_its_version(
        self, obey: Any, repository_of: Any, make: Any, version_of: Any
    ) -> None:
        obey(lambda uow: repository_of(uow).add(make("a")))
        assert [version_of("a"), version_of("a")] == [1, 1]

    def test_of_two_that_change_a_child_at_once_none_is_lost(
        self, new_uow: Any, obey: Any, repository_of: Any, make: Any, change_child: Any, version_of: Any
    ) -> None:
        obey(lambda uow: repository_of(uow).add(make("a")))
        committed = _together(new_uow, lambda uow: change_child(repository_of(uow).get("a")))
        assert committed >= 1
        assert version_of("a") == 1 + committed

    def test_of_two_that_add_the_same_at_once_one_is_refused(
        self, new_uow: Any, repository_of: Any, make: Any, version_of: Any
    ) -> None:
        def add_it(uow: Any) -> None:
            if repository_of(uow).find("a") is None:
                repository_of(uow).add(make("a"))

        assert _together(new_uow, add_it) >= 1
        assert version_of("a") == 1

    def test_a_unit_of_work_serves_once(self, new_uow: Any) -> None:
        with handling():
            uow = new_uow()
            with uow:
                uow.commit()
            with pytest.raises(NotOpen):
                uow.__enter__()

    def test_it_commits_once_and_only_while_open(self, new_uow: Any) -> None:
        with handling():
            uow = new_uow()
            with pytest.raises(NotOpen):
                uow.commit()
        with handling(), new_uow() as uow:
            uow.commit("answer")
            with pytest.raises(Exception, match="ATM032"):
                uow.commit("another")


def _together(new_uow: Callable[[], Any], work: Callable[[Any], object]) -> int:
    """Run the same work in two units of work that read before either commits, where that is possible."""
    both_have_read = threading.Barrier(2)

    def one(_: int) -> bool:
        try:
            with handling(), new_uow() as uow:
                work(uow)
                _meet(both_have_read)
                uow.commit()
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(one, range(2)))


def _meet(barrier: threading.Barrier) -> None:
    # Where the other waits for our lock, as it should, we go on alone.
    with suppress(threading.BrokenBarrierError):
        barrier.wait(_TOGETHER_SECONDS)


def _assert(holds: bool) -> None:
    assert holds
