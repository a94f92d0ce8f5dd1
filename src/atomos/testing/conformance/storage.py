"""What every adapter of the `Storage` port must do."""

# A suite is made of assertions.

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from atomos.core.service.ports import FileMissing, NameOutside, Outside, Storage

WRONG_NAMES = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../secret",
    "reports/../../secret",
    "reports/..",
    ".",
    "./july",
    "reports/./july",
    "reports//july",
    "reports/",
    "reports\\july",
    "..\\secret",
    "nul\0",
    "two\nlines",
    "lone \ud800 surrogate",
    "x" * 256,
    "long/" * 205 + "name",
]
"""Names that lead out of a storage, lead there in more than one way, or lead nowhere."""

ODD_NAMES = [
    "with space",
    "Grüße/世界.txt",
    "~",
    "~root/x",
    "100%",
    "%2e%2e",
    "a?b#c",
    "star*[0-9]{1,2}",
    "...",
    "..hidden",
    ".hidden",
    "file:x",
    "memory:x",
    "a::b",
    "-rf",
    "$HOME",
    "x" * 255,
    "deep/" * 50 + "name",
]
"""Names that are unusual and nothing more."""


class StorageSuite:
    """Subclass it as `class TestBucketStorage(StorageSuite)` and give the fixture `storage`, empty."""

    @pytest.fixture
    def storage(self) -> Storage:
        """Give the adapter, empty."""
        pytest.fail(f"{type(self).__name__} must have a fixture `storage`: the adapter, empty.")

    def test_it_is_known_as_something_outside(self, storage: Storage) -> None:
        """The boot check refuses it where a rollback should take its effect back."""
        assert isinstance(storage, Storage)
        assert isinstance(storage, Outside)

    @pytest.mark.parametrize(
        "content", [b"", b"total;12\n", bytes(range(256)), b"\r\n\x1a", bytes(3_000_000)], ids=len
    )
    def test_what_was_written_can_be_read(self, storage: Storage, content: bytes) -> None:
        """Byte for byte, whatever the bytes, in one piece or in parts."""
        storage.write("reports/2026/07.csv", content)

        assert storage.read("reports/2026/07.csv") == content
        with storage.open("reports/2026/07.csv") as file:
            assert file.read() == content

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_an_unusual_name_is_a_name_like_any_other(self, storage: Storage, name: str) -> None:
        """Nothing in it is expanded, quoted or taken for a pattern."""
        storage.write("bystander", b"mine")
        storage.write(name, b"content")

        assert storage.read(name) == b"content"
        assert list(storage.names()) == sorted(["bystander", name])
        storage.delete(name)
        assert list(storage.names()) == ["bystander"]

    def test_a_second_write_replaces_the_whole_file(self, storage: Storage) -> None:
        """Nothing of the older content is left behind, however long it was."""
        storage.write("report", b"a long first version")
        storage.write("report", b"short")

        assert storage.read("report") == b"short"
        assert list(storage.names()) == ["report"]

    def test_a_file_that_is_not_there_is_missing(self, storage: Storage) -> None:
        """The error says which one."""
        storage.write("reports/june", b"there")

        for name in ("july", "reports/july", "reports/june/july", "nowhere/at/all"):
            with pytest.raises(FileMissing, match=name):
                storage.read(name)
            with pytest.raises(FileMissing, match=name):
                storage.open(name)

    def test_a_folder_is_not_a_file(self, storage: Storage) -> None:
        """It cannot be read, and deleting it by its name leaves its files alone."""
        storage.write("reports/july", b"content")

        with pytest.raises(FileMissing):
            storage.read("reports")
        with pytest.raises(FileMissing):
            storage.open("reports")
        storage.delete("reports")

        assert storage.read("reports/july") == b"content"

    def test_a_file_can_be_read_in_parts_by_several_readers(self, storage: Storage) -> None:
        """Each has a position of its own, and may go back."""
        storage.write("report", b"0123456789")

        with storage.open("report") as one, storage.open("report") as other:
            assert one.read(4) == b"0123"
            assert other.read(2) == b"01"
            assert one.read() == b"456789"
            one.seek(1)
            assert (one.read(1), one.tell(), other.read(1)) == (b"1", 2, b"2")

        assert storage.read("report") == b"0123456789"

    def test_an_opened_file_has_lines(self, storage: Storage) -> None:
        """It can be given to whatever reads files, such as `csv` and `zipfile`."""
        storage.write("report", b"one\ntwo\nthree")

        with storage.open("report") as file:
            assert list(file) == [b"one\n", b"two\n", b"three"]

    def test_a_deleted_file_is_missing(self, storage: Storage) -> None:
        """Its neighbours are not."""
        storage.write("reports/june", b"kept")
        storage.write("reports/july", b"gone")

        storage.delete("reports/july")

        with pytest.raises(FileMissing):
            storage.read("reports/july")
        assert list(storage.names()) == ["reports/june"]

    def test_deleting_what_is_not_there_is_no_error(self, storage: Storage) -> None:
        """Whether it never was, or is gone already: a repeat does no harm."""
        storage.write("june", b"kept")
        storage.delete("june/below")
        storage.delete("nowhere/at/all")
        storage.delete("july")
        storage.delete("july")

        assert list(storage.names()) == ["june"]

    def test_a_name_can_be_used_again_after_a_delete(self, storage: Storage) -> None:
        """Nothing of the deleted file stands in the way."""
        storage.write("reports/july", b"first")
        storage.delete("reports/july")
        storage.write("reports/july", b"second")

        assert storage.read("reports/july") == b"second"

    def test_names_are_sorted_and_whole_and_can_be_read(self, storage: Storage) -> None:
        """Each is what the other methods take."""
        written = ["b", "a/c", "a/b/c", "a-b", "a.b", "z/z", "B", "ä"]
        for name in written:
            storage.write(name, name.encode())

        assert list(storage.names()) == sorted(written)
        assert [storage.read(name).decode() for name in storage.names()] == sorted(written)

    def test_names_can_be_asked_for_below_one_folder(self, storage: Storage) -> None:
        """A folder is a whole part of a name, not its beginning."""
        for name in ("reports/july", "reports/2026/june", "reports-old/may", "reports.csv", "other"):
            storage.write(name, b"")

        assert list(storage.names("reports")) == ["reports/2026/june", "reports/july"]
        assert list(storage.names("reports/2026")) == ["reports/2026/june"]

    def test_there_are_no_names_where_there_is_no_folder(self, storage: Storage) -> None:
        """An empty storage, a folder that is not there, and a file have none below them."""
        assert list(storage.names()) == []
        storage.write("report", b"")

        assert list(storage.names("reports")) == []
        assert list(storage.names("report")) == []

    @pytest.mark.parametrize("name", WRONG_NAMES, ids=ascii)
    def test_a_name_that_leads_elsewhere_is_refused_by_every_method(
        self, storage: Storage, name: str
    ) -> None:
        """Nothing is read, written, deleted or listed by it."""
        storage.write("reports/july", b"content")

        with pytest.raises(NameOutside):
            storage.write(name, b"content")
        with pytest.raises(NameOutside):
            storage.read(name)
        with pytest.raises(NameOutside):
            storage.open(name)
        with pytest.raises(NameOutside):
            storage.delete(name)
        if name:
            with pytest.raises(NameOutside):
                storage.names(name)

        assert list(storage.names()) == ["reports/july"]

    def test_a_reader_never_sees_half_of_a_write(self, storage: Storage) -> None:
        """Whoever reads while others write gets one whole version of the file."""
        versions = [bytes([number]) * 100_000 for number in range(8)]
        storage.write("shared", versions[0])

        def use(version: bytes) -> bytes:
            storage.write("shared", version)
            return storage.read("shared")

        with ThreadPoolExecutor(4) as threads:
            seen = set(threads.map(use, versions * 4))

        assert seen <= set(versions)
        assert list(storage.names()) == ["shared"]

    def test_several_threads_may_make_the_same_folders(self, storage: Storage) -> None:
        """The first one makes them, the others find them."""
        names = [f"new/folder/{number}" for number in range(16)]

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda name: storage.write(name, b""), names))

        assert list(storage.names("new")) == sorted(names)
