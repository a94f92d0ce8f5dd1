"""Files in a local folder, in memory, or in any other store that fsspec knows."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast
from uuid import uuid4

from fsspec.core import url_to_fs  # type: ignore[import-untyped]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from ..service.ports import FileMissing, NameOutside, NameTaken, Storage, Unavailable

_LONGEST_NAME = 1024
"""In bytes: what S3 takes."""

_LONGEST_PART = 255
"""In bytes: what file systems take."""

_UNFINISHED = ".atomos-"
"""How the files that are being written begin."""

# Lone surrogates too: no file system that keeps names in Unicode takes them.
_FOREIGN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\\]")

_NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_NO_ROOM = (FileExistsError, IsADirectoryError, NotADirectoryError)


class FileStorage(Storage):
    """Keeps files below `root`: a folder (`/var/files`, `file:///var/files`), `memory://`, or an fsspec URL.

    A folder is made by the first write. Writes to it are atomic, and survive a loss of power once they have
    returned; a killed one may leave a hidden `.atomos-*` file, which is never listed and can be removed.
    Links that stay inside the root are followed (but listings do not enter linked folders), others raise
    `NameOutside`. They are resolved before each use: let nobody else change links in the folder.

    `memory://` is a store of its own, gone with this object. Elsewhere a write is as atomic as the store
    makes it. `options` are given to fsspec, credentials for example; None gives none. Raises ValueError where
    the root is empty or its protocol unknown.
    """

    def __init__(self, root: str, *, options: Mapping[str, Any] | None = None) -> None:
        if not root:
            raise ValueError(
                "root is empty: give a folder such as '/var/files', or a URL such as 'memory://'."
            )
        # fsspec shares one memory among all that ask for it: tests would see each other's files.
        own = {"global_store": False, "skip_instance_cache": True} if root.startswith("memory:") else {}
        files, path = url_to_fs(root, **{**own, **(options or {})})
        self._place: _Place = _Folder(path) if isinstance(files, LocalFileSystem) else _Store(files, path)

    def write(self, name: str, content: bytes) -> None:
        """Write the whole file, or nothing of it; an older one of that name is replaced."""
        _check(name)
        with _writing(name):
            self._place.write(name, content)

    def read(self, name: str) -> bytes:
        """Read the whole file. Raises `FileMissing`."""
        _check(name)
        with _reading(name):
            return self._place.read(name)

    def open(self, name: str) -> BinaryIO:
        """Open the file for reading in parts; the caller closes it. Raises `FileMissing`."""
        _check(name)
        with _reading(name):
            return self._place.open(name)

    def delete(self, name: str) -> None:
        """Remove the file, or the link to it; one that is not there is no error."""
        _check(name)
        with _writing(name):
            self._place.delete(name)

    def names(self, folder: str = "") -> Iterator[str]:
        """Name every file below the folder, sorted; "" is the root. A folder that is not there has none."""
        if folder:
            _check(folder)
        with _reading(folder):
            # What others put there under a name that no method takes is not listed.
            return iter(sorted(name for name in self._place.names(folder) if _fault(name) is None))


class _Place(ABC):
    """Where the files are; their names have been checked."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None: ...

    @abstractmethod
    def read(self, name: str) -> bytes: ...

    @abstractmethod
    def open(self, name: str) -> BinaryIO: ...

    @abstractmethod
    def delete(self, name: str) -> None: ...

    @abstractmethod
    def names(self, folder: str) -> Iterable[str]: ...


class _Folder(_Place):
    """A local folder. fsspec would follow links out of it, write in place, and omit what it cannot list."""

    def __init__(self, root: str) -> None:
        self._given = root

    def write(self, name: str, content: bytes) -> None:
        path = self._inside(name)
        if path.is_dir():
            raise IsADirectoryError(name)
        _write_durably(path, content)

    def read(self, name: str) -> bytes:
        return self._file(name).read_bytes()

    def open(self, name: str) -> BinaryIO:
        return self._file(name).open("rb")

    def delete(self, name: str) -> None:
        self._inside(name)
        folder, _, last = name.rpartition("/")
        link = self._inside(folder) / last
        if link.is_symlink() or link.is_file():
            link.unlink(missing_ok=True)
            _sync(link.parent)

    def names(self, folder: str) -> Iterator[str]:
        start = self._inside(folder)
        for at, _, files in os.walk(start, onerror=_raise_unless_gone):
            for path in (Path(at, each) for each in files):
                name = (folder / path.relative_to(start)).as_posix()
                if path.is_file() and (not path.is_symlink() or self._leads_inside(name)):
                    yield name

    def _file(self, name: str) -> Path:
        path = self._inside(name)
        # Opening a pipe would wait for someone to write into it.
        if not path.is_file():
            raise FileNotFoundError(name)
        return path

    def _inside(self, name: str) -> Path:
        """Resolve the name, or raise `NameOutside`."""
        root, path = self._resolved(), self._resolved(name)
        if not path.is_relative_to(root):
            raise NameOutside(name, "a link in it leads out of the storage")
        return path

    def _leads_inside(self, name: str) -> bool:
        return self._resolved(name).is_relative_to(self._resolved())

    def _resolved(self, name: str = "") -> Path:
        return Path(os.path.realpath(Path(self._given, name)))


class _Store(_Place):
    """Any other filesystem of fsspec."""

    def __init__(self, files: Any, root: str) -> None:
        self._files = files
        self._root = root.rstrip("/")

    def write(self, name: str, content: bytes) -> None:
        folder, _, _ = self._path(name).rpartition("/")
        self._files.makedirs(folder, exist_ok=True)
        self._files.pipe_file(self._path(name), content)

    def read(self, name: str) -> bytes:
        return cast("bytes", self._files.cat_file(self._path(name)))

    def open(self, name: str) -> BinaryIO:
        # fsspec's memory hands out the stored file itself, with one position for all of its readers.
        if isinstance(self._files, MemoryFileSystem):
            return BytesIO(self.read(name))
        return cast("BinaryIO", self._files.open(self._path(name), "rb"))

    def delete(self, name: str) -> None:
        with suppress(*_NO_FILE):
            self._files.rm_file(self._path(name))

    def names(self, folder: str) -> Iterator[str]:
        start = self._path(folder) if folder else self._root
        self._files.invalidate_cache()
        for path in self._files.find(start):
            if path.startswith(f"{start}/"):
                yield path[len(self._root) + 1 :]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _check(name: str) -> None:
    if (fault := _fault(name)) is not None:
        raise NameOutside(name, fault)


def _fault(name: str) -> str | None:
    """Say why the name cannot be one of a file inside a storage, or None."""
    parts = name.split("/")
    faults = {
        "it is empty": not name,
        "it is absolute": name.startswith("/"),
        "it has a backslash or a control character": _FOREIGN.search(name) is not None,
        "a part of it is empty, `.` or `..`": not {"", ".", ".."}.isdisjoint(parts),
        f"it is longer than {_LONGEST_NAME} bytes": _bytes(name) > _LONGEST_NAME,
        f"a part of it is longer than {_LONGEST_PART} bytes": max(map(_bytes, parts)) > _LONGEST_PART,
        f"{_UNFINISHED!r} begins the names of files that are being written": any(
            part.startswith(_UNFINISHED) for part in parts
        ),
    }
    return next((fault for fault, found in faults.items() if found), None)


def _bytes(name: str) -> int:
    return len(name.encode(errors="replace"))


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except _NO_FILE:
        raise FileMissing(name) from None
    except OSError as error:
        raise _unavailable(name, error) from error


@contextmanager
def _writing(name: str) -> Iterator[None]:
    try:
        yield
    except _NO_ROOM:
        raise NameTaken(name) from None
    except OSError as error:
        raise _unavailable(name, error) from error


def _unavailable(name: str, error: OSError) -> Unavailable:
    said = error.strerror or type(error).__name__
    return Unavailable(
        f"The storage cannot be used for {name!r}: {said}. Check its settings, its rights and its space."
    )


def _write_durably(path: Path, content: bytes) -> None:
    """Replace the file by a finished one, and return when the disk has it."""
    _make_folder(path.parent)
    unfinished = path.parent / f"{_UNFINISHED}{uuid4().hex}"
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    _sync(path.parent)


def _make_folder(folder: Path) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        _sync(each.parent)


def _sync(folder: Path) -> None:
    """Have the disk keep which files are in the folder."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot open folders
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, _NO_FILE):
        raise error
