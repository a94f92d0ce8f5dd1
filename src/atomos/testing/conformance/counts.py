"""What every adapter of the `Counts` port must do."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from atomos.core.service.limits import Counts

_LONG, _SHORT = 60, 1


class CountsSuite:
    """Subclass it as `class TestSharedCounts(CountsSuite)` and give the fixture `counts`, with nothing counted."""

    @pytest.fixture
    def counts(self) -> Counts:
        """Give the adapter, with nothing counted."""
        pytest.fail(f"{type(self).__name__} must have a fixture `counts`: the adapter, with nothing counted.")

    def test_each_one_more_is_counted(self, counts: Counts) -> None:
        """What `add` gives is how many there are by now."""
        assert [counts.add("a", _LONG) for _ in range(3)] == [1, 2, 3]

    def test_keys_are_counted_apart(self, counts: Counts) -> None:
        """Odd ones too."""
        keys = ["a", "b", "a/b", "", "ä ☃", "two\nlines", "x" * 1000, "2001:db8::/64"]
        assert [counts.add(key, _LONG) for key in keys] == [1] * len(keys)

    def test_a_window_begins_with_its_first_and_ends_after_its_seconds(self, counts: Counts) -> None:
        """Then the count begins anew, however often it was added to meanwhile."""
        assert counts.add("a", _SHORT) == 1
        began = time.monotonic()
        while (counted := counts.add("a", _SHORT)) > 1 and time.monotonic() < began + 10:
            time.sleep(0.02)
        assert counted == 1
        assert _SHORT * 0.9 < time.monotonic() - began < _SHORT + 5

    def test_what_is_left_of_a_window_is_no_more_than_it_had(self, counts: Counts) -> None:
        """And never nothing."""
        counts.add("a", _LONG)
        counts.add("b", _SHORT)
        assert _LONG / 2 < counts.left("a") <= _LONG
        assert 0 < counts.left("b") <= _SHORT
        assert 0 < counts.left("never counted") <= _SHORT

    def test_threads_count_together(self, counts: Counts) -> None:
        """None is lost, and none is given twice."""
        with ThreadPoolExecutor(8) as threads:
            counted = list(threads.map(lambda _: counts.add("a", _LONG), range(200)))
        assert sorted(counted) == list(range(1, 201))

    def test_there_is_no_trouble(self, counts: Counts) -> None:
        """With what is there."""
        assert counts.trouble() is None
