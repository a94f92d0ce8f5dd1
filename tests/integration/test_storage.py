"""Files in a local folder and in memory: the suite of the port, and links that lead outside."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pytest
from fsspec import AbstractFileSystem

from atomos.core.adapters.storage import FileStorage
from atomos.core.service.ports import FileMissing, NameOutside, NameTaken, Storage, Unavailable
from atomos.testing.conformance.storage import StorageSuite


class TestFilesInAFolder(StorageSuite):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return FileStorage(str(tmp_path / "not" / "yet" / "there"))


class TestFilesInAFolderBehindALink(StorageSuite):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        (tmp_path / "releases" / "7").mkdir(parents=True)
        (tmp_path / "current").symlink_to("releases/7")
        return FileStorage(f"file://{tmp_path}/current/")


class TestFilesInMemory(StorageSuite):
    @pytest.fixture
    def storage(self) -> Storage:
        return FileStorage("memory://")


class TestFilesInAFolderInMemory(StorageSuite):
    @pytest.fixture
    def storage(self) -> Storage:
        return FileStorage("memory://some/folder/")


class Bucket(AbstractFileSystem):  # type: ignore[misc]
    """A store without folders, as S3 is one: its paths begin with no slash."""

    protocol = "bucket"
    cachable = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.contents: dict[str, bytes] = {}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        below = [
            name.removeprefix(f"{path}/").split("/")[0]
            for name in self.contents
            if name.startswith(f"{path}/")
        ]
        found = sorted({f"{path}/{part}" for part in below})
        return [{"name": each, "type": "file" if each in self.contents else "directory"} for each in found]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> BytesIO:  # pyright: ignore[reportIncompatibleMethodOverride]
        if path not in self.contents:
            raise FileNotFoundError(path)
        return BytesIO(self.contents[path])

    def makedirs(self, path: str, exist_ok: bool = False) -> None: ...

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        self.contents[path] = value

    def rm_file(self, path: str) -> None:
        if self.contents.pop(path, None) is None:
            raise FileNotFoundError(path)


class TestFilesInAnyOtherStore(StorageSuite):
    @pytest.fixture
    def storage(self) -> Storage:
        fsspec.register_implementation("bucket", Bucket, clobber=True)
        return FileStorage("bucket://shop/files")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the storage's, with a secret in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(b"secret")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def storage(root: Path) -> FileStorage:
    return FileStorage(str(root))


@pytest.fixture(params=["folder", "memory"])
def either(request: pytest.FixtureRequest, root: Path) -> FileStorage:
    return FileStorage("memory://" if request.param == "memory" else str(root))


@pytest.mark.parametrize(
    "name", ["file", "folder/secret", "folder/new", "up/outside/secret", "chain/secret", "new"]
)
def test_a_link_that_leads_outside_is_refused_by_every_method(
    storage: FileStorage, root: Path, outside: Path, name: str
) -> None:
    (root / "file").symlink_to(outside / "secret")
    (root / "new").symlink_to(outside / "made by a write")
    (root / "folder").symlink_to(outside)
    (root / "up").symlink_to("..")
    (root / "chain").symlink_to("folder")

    for use in (
        storage.read,
        storage.open,
        storage.delete,
        storage.names,
        lambda name: storage.write(name, b"x"),
    ):
        with pytest.raises(NameOutside, match="a link in it leads out of the storage"):
            use(name)

    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"
    assert len(list(root.iterdir())) == 5


def test_a_folder_beside_the_root_whose_name_begins_alike_is_outside(
    storage: FileStorage, root: Path
) -> None:
    beside = root.with_name("root-2")
    beside.mkdir()
    (root / "link").symlink_to(beside)

    with pytest.raises(NameOutside):
        storage.write("link/file", b"")

    assert list(beside.iterdir()) == []


def test_listing_shows_nothing_that_lies_outside(storage: FileStorage, root: Path, outside: Path) -> None:
    (root / "file").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    storage.write("mine", b"")

    assert list(storage.names()) == ["mine"]


def test_a_link_that_stays_inside_is_followed(storage: FileStorage, root: Path) -> None:
    storage.write("real/file", b"first")
    (root / "folder").symlink_to("real")
    (root / "file").symlink_to("real/file")

    storage.write("file", b"second")

    assert storage.read("folder/file") == storage.read("real/file") == b"second"
    assert (root / "file").is_symlink()
    assert list(storage.names()) == ["file", "real/file"]
    assert list(storage.names("folder")) == ["folder/file"]


def test_deleting_a_link_leaves_what_it_leads_to(storage: FileStorage, root: Path) -> None:
    storage.write("real", b"content")
    (root / "link").symlink_to("real")
    (root / "dangling").symlink_to("nothing")

    storage.delete("link")
    storage.delete("dangling")

    assert [path.name for path in root.iterdir()] == ["real"]


def test_links_that_lead_in_a_circle_are_no_files(storage: FileStorage, root: Path) -> None:
    (root / "one").symlink_to("other")
    (root / "other").symlink_to("one")
    (root / "self").symlink_to(".")
    os.utime(root.parent, (0, 0))

    for name in ("one", "self", "one/file"):
        with pytest.raises(FileMissing):
            storage.read(name)
    with pytest.raises(NameTaken):
        storage.write("self", b"")

    assert list(storage.names()) == []
    assert root.parent.stat().st_mtime == 0  # not even for a moment was anything made beside the root


def test_a_pipe_is_no_file_and_nobody_waits_for_it(storage: FileStorage, root: Path) -> None:
    os.mkfifo(root / "pipe")

    with pytest.raises(FileMissing):
        storage.read("pipe")
    with pytest.raises(FileMissing):
        storage.open("pipe")
    assert list(storage.names()) == []


def test_what_others_named_strangely_is_not_listed(storage: FileStorage, root: Path) -> None:
    (root / "back\\slash").touch()
    (root / "new\nline").touch()
    Path(os.fsdecode(os.fsencode(root) + b"/\xff")).touch()

    assert list(storage.names()) == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    storage: FileStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.write("report", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="cannot be used for 'report': No space left on device"):
        storage.write("report", b"new")

    assert [path.name for path in root.iterdir()] == ["report"]
    assert storage.read("report") == b"old"


def test_what_is_no_bytes_is_refused_and_leaves_nothing_behind(either: FileStorage) -> None:
    with pytest.raises(TypeError):
        either.write("report", "a text")  # type: ignore[arg-type]

    assert list(either.names()) == []


def test_the_file_and_its_new_folders_are_on_the_disk_before_it_has_its_name(
    storage: FileStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noting_sync(opened: int) -> None:
        [path] = [
            path for path in (root, *root.rglob("*")) if os.path.samestat(path.stat(), os.fstat(opened))
        ]
        order.append(path.name if path.is_dir() else "content")
        sync(opened)

    def noting_replace(path: Path, target: Path) -> Path:
        order.append(f"named {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noting_sync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    storage.write("2026/07/report", b"content")

    assert order == ["root", "2026", "content", "named report", "07"]


def test_where_folders_cannot_be_opened_files_are_written_all_the_same(
    storage: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_DIRECTORY")

    storage.write("2026/report", b"content")

    assert storage.read("2026/report") == b"content"


def test_the_remains_of_a_killed_write_are_neither_listed_nor_readable(
    storage: FileStorage, root: Path
) -> None:
    (root / ".atomos-0123").write_bytes(b"half")

    assert list(storage.names()) == []
    with pytest.raises(NameOutside, match="files that are being written"):
        storage.read(".atomos-0123")


def test_a_written_file_can_be_read_by_whom_the_umask_lets(storage: FileStorage, root: Path) -> None:
    with _umask(0o027):
        storage.write("report", b"")

    assert stat.S_IMODE((root / "report").stat().st_mode) == 0o640


def test_an_open_reader_keeps_the_version_that_it_opened(either: FileStorage) -> None:
    either.write("report", b"old")

    with either.open("report") as file:
        either.write("report", b"new!")
        assert file.read() == b"old"


def test_a_file_cannot_take_the_name_of_a_folder_or_lie_below_a_file(either: FileStorage) -> None:
    either.write("reports/2026/july", b"")

    for name in ("reports", "reports/2026", "reports/2026/july/1", "reports/2026/july/1/2"):
        with pytest.raises(NameTaken, match="it names a folder, or something below a file"):
            either.write(name, b"")

    assert list(either.names()) == ["reports/2026/july"]


def test_a_folder_that_cannot_be_listed_is_not_passed_over_in_silence(
    storage: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.write("report", b"")

    def denied(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(Unavailable, match="Permission denied"):
        storage.names()


def test_two_memories_do_not_share_their_files() -> None:
    one, other = FileStorage("memory://"), FileStorage("memory://")
    one.write("report", b"")

    assert list(other.names()) == []


def test_a_relative_root_stays_where_it_was_when_the_process_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = FileStorage("files")
    monkeypatch.chdir("/")

    storage.write("report", b"")

    assert (tmp_path / "files" / "report").exists()


def test_a_root_is_needed() -> None:
    with pytest.raises(ValueError, match="root is empty"):
        FileStorage("")


def test_a_protocol_must_be_known() -> None:
    with pytest.raises(ValueError, match="nothing"):
        FileStorage("nothing://files")


def test_options_are_given_to_fsspec(tmp_path: Path) -> None:
    FileStorage("memory://shared-by-option", options={"global_store": True}).write("report", b"")
    again = FileStorage("memory://shared-by-option", options={"global_store": True})

    assert list(again.names()) == ["report"]
    again.delete("report")


def test_a_store_that_cannot_be_reached_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = FileStorage("memory://")

    def away(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.cat_file", away)
    with pytest.raises(Unavailable, match="cannot be used for 'report': TimeoutError"):
        storage.read("report")


def test_a_long_wrong_name_is_not_repeated_in_full() -> None:
    with pytest.raises(NameOutside) as refused:
        FileStorage("memory://").read("/" + "x" * 5000)

    assert len(str(refused.value)) < 300
    assert refused.value.fault == "it is absolute"


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)
