"""A small library: messages, routes, a log in memory and an application, for the tests of the HTTP edge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

from flask import Flask
from flask.testing import FlaskClient

from atomos.core.api import Entrypoints, ask, emit, install
from atomos.core.domain import (
    AtLeast,
    AtMost,
    Command,
    Contradiction,
    Created,
    Event,
    Length,
    NotFound,
    Page,
    Pattern,
    Query,
    RuleBroken,
    Sensitive,
    ValueObject,
)
from atomos.core.service.bus import MessageBus
from atomos.core.service.delivery import Fence, MessageLog, Recalled, Record
from atomos.core.service.errors import Conflict, InFlight, NotPermitted, Repeated, Reused
from atomos.core.service.injection import Offer
from atomos.core.service.limits import Rate, TooMany
from atomos.core.service.ports import Clock, HandlingMeter, Meter, Unavailable
from atomos.core.service.retry import ConflictRetry
from atomos.core.service.routes import Routes, join
from atomos.core.service.unit_of_work import UnitOfWork

Isbn = Annotated[str, Length(1, 20), Pattern(r"[0-9X-]+")]
Copies = Annotated[int, AtLeast(1), AtMost(100)]


class Binding(Enum):
    PAPER = "paper"
    CLOTH = "cloth"


class Author(ValueObject):
    name: Annotated[str, Length(1, 50)]
    born: date | None = None


class Book(ValueObject):
    isbn: str
    title: str
    price: Decimal
    added_at: datetime
    authors: tuple[Author, ...] = ()


class BookArrived(Event[Created[Book] | Book], name="library.book-arrived"):
    isbn: Isbn
    title: Annotated[str, Length(1, 100)]
    copies: Copies
    price: Decimal = Decimal("0")
    binding: Binding = Binding.PAPER
    bought_at: datetime | None = None
    authors: Annotated[tuple[Author, ...], Length(0, 3)] = ()
    tags: tuple[str, ...] = ()
    rare: bool = False


class BookLost(Event, name="library.book-lost"):
    isbn: Isbn
    reason: str | None = None


class CardIssued(Event, name="library.card-issued"):
    pin: Annotated[Sensitive[str], Length(4, 4)]


class AddBook(Command[Created[Book] | Book], name="library.add-book"):
    isbn: str
    title: str
    price: Decimal
    authors: tuple[Author, ...]


class RemoveBook(Command, name="library.remove-book"):
    isbn: str


class BookOf(Query[Book], name="library.book-of"):
    isbn: Isbn


class BooksOf(Query[Page[Book]], name="library.books-of"):
    shelf: Annotated[str, Length(1, 30)]
    limit: Annotated[int, AtLeast(1), AtMost(100)] = 10
    cursor: str | None = None
    rare: bool | None = None
    since: date | None = None
    tags: tuple[str, ...] = ()


class TitlesOf(Query[list[str]], name="library.titles-of"):
    shelf: str


class Failing(Query[str | None], name="library.failing"):
    how: str


class ClockAt(Clock):
    def now(self) -> datetime:
        return datetime(2026, 1, 31, 12, 30, tzinfo=UTC)


class NoMeter(Meter, HandlingMeter):
    def of(self, kind: str, name: str) -> HandlingMeter:
        return self

    def handled(self, outcome: str, seconds: float) -> None: ...


class MemoryLog(MessageLog):
    """Keeps records in a list, and refuses an id that it has."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def recall(self, envelope_id: str, message: Any) -> Recalled | None:
        for record in self.records:
            if record.envelope.id == envelope_id:
                if record.message != message:
                    raise Reused(f"{envelope_id} has another content.")
                return Recalled(record.answer)
        return None

    def known(self, message_ids: Sequence[str]) -> frozenset[str]:
        return frozenset(message_ids) & {record.envelope.id for record in self.records}

    def follow(self, message_id: str) -> None:
        """Nothing waits here."""

    def append(
        self, records: Sequence[Record], completes: Fence | None = None, *, reader: int | None = None
    ) -> None:
        if {r.envelope.id for r in records} & {r.envelope.id for r in self.records}:
            raise Repeated
        self.records += records

    def take_back(self, timer: str, why: str) -> bool:
        return False

    def explain(self, error: Exception, place: str) -> None:
        """There is no database whose errors could mean something."""


class MemoryUnitOfWork(UnitOfWork):
    def __init__(self, log: MemoryLog, books: dict[str, Book]) -> None:
        super().__init__()
        self.log = log
        self.books = books

    def _begin(self, handling: Any) -> None: ...
    def _changed(self) -> bool:
        return False

    def _is_new(self, aggregate: Any) -> bool:
        return False

    def _flush(self) -> None: ...
    def _take_back(self, name: str, key: str) -> bool:
        return False

    def _write(self, records: Sequence[Record], completes: Fence | None) -> None:
        self.log.append(records)

    def _commit(self) -> None: ...
    def _end(self) -> None: ...


Books = dict[str, Book]


def add_book(command: AddBook, uow: MemoryUnitOfWork) -> Created[Book] | Book:
    with uow:
        if command.isbn in uow.books:
            return uow.commit(uow.books[command.isbn])
        book = Book(
            isbn=command.isbn,
            title=command.title,
            price=command.price,
            added_at=ClockAt().now(),
            authors=command.authors,
        )
        uow.books[command.isbn] = book
        return uow.commit(Created(value=book))


def remove_book(command: RemoveBook, uow: MemoryUnitOfWork) -> None:
    with uow:
        if command.isbn not in uow.books:
            raise NotFound(f"There is no book {command.isbn}.")
        del uow.books[command.isbn]
        return uow.commit()


def book_of(query: BookOf, books: Books) -> Book:
    if query.isbn not in books:
        raise NotFound(f"There is no book {query.isbn}.")
    return books[query.isbn]


def books_of(query: BooksOf, books: Books) -> Page[Book]:
    found = [book for isbn, book in sorted(books.items()) if isbn > (query.cursor or "")]
    page = tuple(found[: query.limit])
    return Page(items=page, cursor=page[-1].isbn if len(found) > query.limit else None)


def titles_of(query: TitlesOf, books: Books) -> list[str]:
    return sorted(book.title for book in books.values())


FAILURES: dict[str, Exception] = {
    "contradiction": Contradiction("It was said before."),
    "rule": RuleBroken("Two are too many."),
    "permission": NotPermitted("Ana lacks books:write."),
    "conflict": Conflict("select secret from db"),
    "flight": InFlight("..."),
    "away": Unavailable("host ledger-7 is down", retry_after=7.2),
    "often": TooMany("requests from this address", Rate(600, 60), 11.2, is_first=True),
    "inside": ZeroDivisionError("secret inside"),
}


def fail(query: Failing) -> str | None:
    if query.how in FAILURES:
        raise FAILURES[query.how]
    return None


ROUTES = Routes(
    triggers={BookArrived: [AddBook], BookLost: [RemoveBook]},
    commands={AddBook: add_book, RemoveBook: remove_book},
    queries={BookOf: book_of, BooksOf: books_of, TitlesOf: titles_of, Failing: fail},
    ignored={CardIssued: "only its form is looked at"},
)


def library() -> Entrypoints:
    """The library's blueprint, made anew."""
    blueprint = Entrypoints("library", __name__, url_prefix="/library")

    @blueprint.post("/books/<isbn>", location="show_book")
    def receive_book(event: BookArrived) -> Created[Book] | Book:
        """Take a book in.

        A book that is there already is left as it is.
        """
        return emit(event)

    @blueprint.delete("/books/<isbn>")
    def lose_book(event: BookLost) -> None:
        """Strike a book off."""
        return emit(event)

    @blueprint.get("/books/<isbn>")
    def show_book(query: BookOf) -> Book:
        """Show one book."""
        return ask(query)

    @blueprint.get("/shelves/<shelf>/books")
    def list_books(query: BooksOf) -> Page[Book]:
        """List the books of a shelf."""
        return ask(query)

    @blueprint.get("/shelves/<shelf>/titles")
    def list_titles(query: TitlesOf) -> list[str]:
        """List the titles of a shelf."""
        return ask(query)

    @blueprint.post("/cards")
    def issue_card(event: CardIssued) -> None:
        """Give someone a card."""
        return emit(event)

    @blueprint.get("/failures/<how>")
    def fail_somehow(query: Failing) -> str | None:
        """Fail in the way that is asked for."""
        return ask(query)

    return blueprint


class Library:
    """An application with the library, its bus, what is in its log and on its shelves."""

    def __init__(self, app: Flask | None = None, more: Routes | None = None, **installed: Any) -> None:
        self.log = MemoryLog()
        self.books: Books = {}
        offers = {
            "uow": Offer("uow", lambda: MemoryUnitOfWork(self.log, self.books), MemoryUnitOfWork, "here"),
            "books": Offer("books", lambda: self.books, dict, "here"),
        }
        routes = join(library=[ROUTES, more or Routes()])
        retry = ConflictRetry(attempts=1)
        self.bus = MessageBus(routes, {"library": offers}, self.log, ClockAt(), NoMeter(), retry)
        self.app = app or Flask("library")
        said = {"blueprints": [library()], "title": "Library", "version": "1.2.3", **installed}
        self.installation = install(self.app, bus=self.bus, **said)

    @property
    def http(self) -> FlaskClient:
        """A client of the application."""
        return self.app.test_client()


BOOK = {"title": "Emma", "copies": 2, "price": "12.50"}
"""The body of a request that takes a book in."""
