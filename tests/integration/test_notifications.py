"""Notifications by e-mail against a real SMTP server on the loopback, to the log and to memory."""

from __future__ import annotations

import email
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, MutableMapping, Sequence
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import structlog
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from atomos.core.adapters.notifications import EmailNotifications, LogNotifications
from atomos.core.service.ports import NotificationRefused, Notifications, Unavailable
from atomos.testing.conformance.notifications import NotificationsSuite
from atomos.testing.databases import need_service
from atomos.testing.fakes import RecordedNotifications, SentNotification

SENDER = "Shop <shop@example.com>"
PASSWORD = "correct-horse"
WRONG = "wrong-horse"


class Mailbox:
    """Takes every e-mail, but for what `answers` says to a verb of SMTP."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.messages: list[EmailMessage] = []
        self.envelopes: list[tuple[str | None, list[str]]] = []
        self.arrived: list[SentNotification] = []

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 OK")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if "DATA" in self.answers:
            return self.answers["DATA"]
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        self.arrived.append(_as_sent(message))
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        return self.answers.get("QUIT", "221 Bye")


class Server25(Controller):
    """An SMTP server on a port that the system chose and that nobody can take in between."""

    def __init__(self, mailbox: Mailbox, **options: Any) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        super().__init__(mailbox, hostname="127.0.0.1", port=self.socket.getsockname()[1], **options)

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self.socket, ssl=self.ssl_context)


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def port(mailbox: Mailbox) -> Iterator[int]:
    """The port of a server without encryption."""
    server = Server25(mailbox, enable_SMTPUTF8=True)
    server.start()
    yield server.port
    server.stop()


@pytest.fixture
def mail(port: int) -> EmailNotifications:
    return EmailNotifications("127.0.0.1", port, SENDER, encryption="none", timeout=10.0)


class TestNotificationsByEmail(NotificationsSuite):
    @pytest.fixture
    def notifications(self, mail: EmailNotifications) -> Notifications:
        return mail

    @pytest.fixture
    def arrived(self, mailbox: Mailbox) -> Sequence[SentNotification]:
        return mailbox.arrived


class TestNotificationsInTheLog(NotificationsSuite):
    @pytest.fixture
    def notifications(self) -> Notifications:
        return LogNotifications()

    @pytest.fixture
    def arrived(self) -> Iterator[Sequence[SentNotification]]:
        with structlog.testing.capture_logs() as entries:
            yield _Logged(entries)


class TestNotificationsInMemory(NotificationsSuite):
    @pytest.fixture
    def notifications(self) -> Notifications:
        return RecordedNotifications()

    @pytest.fixture
    def arrived(self, notifications: RecordedNotifications) -> Sequence[SentNotification]:
        return notifications.sent


class _Logged(Sequence[SentNotification]):
    """What the log says, as notifications."""

    def __init__(self, entries: list[MutableMapping[str, Any]]) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: Any) -> Any:
        entry = dict(self._entries[index])
        assert (entry.pop("event"), entry.pop("log_level")) == ("notification.sent", "info")
        return SentNotification(**entry)


def test_an_email_says_who_sent_it_and_that_no_person_did(mail: EmailNotifications, mailbox: Mailbox) -> None:
    mail.send(to="ana@example.com", subject="Out of stock", text="Order more.", effect_id="m-1")

    [message] = mailbox.messages
    assert message["From"] == "Shop <shop@example.com>"
    assert message["Message-ID"] == "<m-1@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.tzinfo is not None
    assert mailbox.envelopes == [("shop@example.com", ["ana@example.com"])]


def test_a_recipient_may_have_a_name(mail: EmailNotifications, mailbox: Mailbox) -> None:
    mail.send(to='"Buyer, Ana" <ana@example.com>', subject="s", text="t")
    mail.send(to="Jürgen <juergen@example.com>", subject="s", text="t")

    assert [message["To"].addresses[0].display_name for message in mailbox.messages] == [
        "Buyer, Ana",
        "Jürgen",
    ]
    assert [to for _, to in mailbox.envelopes] == [["ana@example.com"], ["juergen@example.com"]]


def test_an_address_outside_ascii_is_for_servers_that_take_it(
    mail: EmailNotifications, mailbox: Mailbox
) -> None:
    mail.send(to="jürgen@bücher.example", subject="s", text="t")

    assert mailbox.envelopes == [("shop@example.com", ["jürgen@bücher.example"])]


def test_an_address_outside_ascii_is_refused_where_the_server_does_not_take_it(mailbox: Mailbox) -> None:
    server = Server25(mailbox, enable_SMTPUTF8=False)
    server.start()
    mail = EmailNotifications("127.0.0.1", server.port, SENDER, encryption="none")

    with pytest.raises(NotificationRefused, match="SMTPUTF8"):
        mail.send(to="jürgen@example.com", subject="s", text="t")
    server.stop()


@pytest.mark.parametrize(
    "to",
    [
        "nobody",
        "@example.com",
        "ana@",
        "ana@example.com, eve@example.com",
        "ana@example.com;eve@example.com",
        "Ana <ana@example.com",
        "ana@example.com>",
        "<ana@example.com> <eve@example.com>",
        "a b@example.com",
        "=?utf-8?q?eve=40example.org=3e?=@example.com",
        "=?utf-8?q?Ana=0D=0ABcc=3A_eve=40example.org?= <ana@example.com>",
        "undisclosed:;",
        "\ud800@example.com",
    ],
    ids=ascii,
)
def test_what_is_not_one_address_is_refused_before_anyone_is_asked(
    mail: EmailNotifications, mailbox: Mailbox, to: str
) -> None:
    with pytest.raises(NotificationRefused) as refused:
        mail.send(to=to, subject="s", text="t")

    assert mailbox.messages == []
    assert "eve" not in str(refused.value)


@pytest.mark.parametrize("field", ["subject", "text"])
def test_what_cannot_be_encoded_is_refused(mail: EmailNotifications, mailbox: Mailbox, field: str) -> None:
    said = {"subject": "s", "text": "t", field: "\ud800"}

    with pytest.raises(NotificationRefused, match="cannot be written as an e-mail"):
        mail.send(to="ana@example.com", subject=said["subject"], text=said["text"])

    assert mailbox.messages == []


@pytest.mark.parametrize(
    "effect_id",
    [
        "0193a5f0-1111-7abc-8def-0123456789ab:allocation.warn_buyers:1",
        "a b",
        "<x@y>",
        "a%20b",
        "ü",
        "x" * 200,
        "1\r\n2",
    ],
    ids=ascii,
)
def test_every_effect_id_makes_a_message_id_of_its_own(
    mail: EmailNotifications, mailbox: Mailbox, effect_id: str
) -> None:
    mail.send(to="ana@example.com", subject="s", text="t", effect_id=effect_id)

    [message] = mailbox.messages
    assert message["Message-ID"].count("@") == 1
    assert message["Message-ID"].isascii()
    assert mailbox.arrived[0].effect_id == effect_id


def test_emails_without_an_effect_id_are_told_apart_too(mail: EmailNotifications, mailbox: Mailbox) -> None:
    mail.send(to="ana@example.com", subject="s", text="t")
    mail.send(to="ana@example.com", subject="s", text="t")

    assert len({message["Message-ID"] for message in mailbox.messages}) == 2


@pytest.mark.parametrize(
    ("verb", "answer", "said"),
    [
        (
            "RCPT",
            "550 5.1.1 <ana@example.com>: no such user",
            r"\(recipient\): 550 5.1.1 <\(hidden\)>: no such user",
        ),
        ("MAIL", "553 5.7.1 not your address", r"\(sender\): 553 5.7.1 not your address"),
        ("DATA", "554 5.6.0 not wanted", r"\(content\): 554 5.6.0 not wanted"),
    ],
)
def test_what_the_server_refuses_for_good_is_refused(
    mail: EmailNotifications, mailbox: Mailbox, verb: str, answer: str, said: str
) -> None:
    mailbox.answers[verb] = answer

    with pytest.raises(NotificationRefused, match=said) as refused:
        mail.send(to="ana@example.com", subject="s", text="t")

    assert "ana@example.com" not in str(refused.value)
    assert mailbox.messages == []


@pytest.mark.parametrize("verb", ["RCPT", "MAIL", "DATA"])
def test_what_the_server_puts_off_is_unavailable(
    mail: EmailNotifications, mailbox: Mailbox, verb: str
) -> None:
    mailbox.answers[verb] = "451 4.7.1 greylisted, try later"

    with pytest.raises(Unavailable, match=r"does not take the e-mail now .*: 451 4.7.1 greylisted"):
        mail.send(to="ana@example.com", subject="s", text="t")
    mailbox.answers.clear()
    mail.send(to="ana@example.com", subject="s", text="t")

    assert len(mailbox.messages) == 1


def test_a_server_that_closes_down_is_unavailable(mail: EmailNotifications, mailbox: Mailbox) -> None:
    mailbox.answers["MAIL"] = "421 4.3.2 closing"

    with pytest.raises(Unavailable, match=r"421 4\.3\.2 closing"):
        mail.send(to="ana@example.com", subject="s", text="t")


def test_a_server_that_cannot_say_goodbye_has_taken_the_email_all_the_same(
    mail: EmailNotifications, mailbox: Mailbox
) -> None:
    mailbox.answers["QUIT"] = "554 no"

    mail.send(to="ana@example.com", subject="s", text="t")

    assert len(mailbox.messages) == 1


def test_a_server_that_is_not_there_is_unavailable() -> None:
    mail = EmailNotifications("127.0.0.1", _closed_port(), SENDER, encryption="none")

    with pytest.raises(
        Unavailable, match=r"127.0.0.1:\d+ cannot be reached, or broke off \(ConnectionRefused"
    ):
        mail.send(to="ana@example.com", subject="s", text="t")


@pytest.mark.parametrize("encryption", ["none", "tls"])
def test_a_server_that_says_nothing_is_unavailable_when_the_time_is_up(encryption: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mail = EmailNotifications(
            "127.0.0.1", silent.getsockname()[1], SENDER, encryption=encryption, timeout=0.05
        )

        with pytest.raises(Unavailable, match="timed out"):
            mail.send(to="ana@example.com", subject="s", text="t")


def test_a_server_that_does_not_encrypt_is_refused_where_the_settings_ask_for_it(
    port: int, mailbox: Mailbox
) -> None:
    mail = EmailNotifications("127.0.0.1", port, SENDER)

    with pytest.raises(
        NotificationRefused, match=r"encryption 'starttls', without a user\): STARTTLS extension"
    ):
        mail.send(to="ana@example.com", subject="s", text="t")

    assert mailbox.messages == []


class Keys:
    """A certificate for 127.0.0.1, made for this run, and the two sides' use of it."""

    def __init__(self, folder: Path) -> None:
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        subprocess.run(
            [
                *(
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:prime256v1",
                    "-nodes",
                ),
                *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"),
                *("-keyout", str(key), "-out", str(certificate)),
            ],
            check=True,
            capture_output=True,
        )
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.server.load_cert_chain(certificate, key)
        self.client = ssl.create_default_context(cafile=str(certificate))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    if shutil.which("openssl") is None:
        need_service("openssl", FileNotFoundError("there is no such command, and it makes the certificate"))
    return Keys(tmp_path_factory.mktemp("keys"))


def _only_shop(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"shop", PASSWORD.encode()), handled=False)


@pytest.fixture
def secure_port(mailbox: Mailbox, keys: Keys) -> Iterator[int]:
    """The port of a server that asks for STARTTLS and for a password."""
    server = Server25(
        mailbox,
        tls_context=keys.server,
        require_starttls=True,
        authenticator=_only_shop,
        auth_required=True,
    )
    server.start()
    yield server.port
    server.stop()


def test_a_password_is_given_over_an_encrypted_connection(
    secure_port: int, keys: Keys, mailbox: Mailbox
) -> None:
    mail = EmailNotifications(
        "127.0.0.1", secure_port, SENDER, user="shop", password=PASSWORD, tls=keys.client
    )

    mail.send(to="ana@example.com", subject="s", text="t")

    assert len(mailbox.messages) == 1


def test_a_connection_can_be_encrypted_from_its_start(mailbox: Mailbox, keys: Keys) -> None:
    server = Server25(mailbox, ssl_context=keys.server)
    server.start()
    mail = EmailNotifications("127.0.0.1", server.port, SENDER, encryption="tls", tls=keys.client)

    mail.send(to="ana@example.com", subject="s", text="t")
    server.stop()

    assert len(mailbox.messages) == 1


def test_a_wrong_password_is_refused_and_not_shown(secure_port: int, keys: Keys, mailbox: Mailbox) -> None:
    mail = EmailNotifications("127.0.0.1", secure_port, SENDER, user="shop", password=WRONG, tls=keys.client)

    with pytest.raises(NotificationRefused, match=r"for good \(user or password\): 535") as refused:
        mail.send(to="ana@example.com", subject="s", text="t")

    assert WRONG not in f"{refused.value!r}{mail!r}{refused.value.__context__!r}"
    assert mailbox.messages == []


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(secure_port: int, mailbox: Mailbox) -> None:
    mail = EmailNotifications("127.0.0.1", secure_port, SENDER, user="shop", password=PASSWORD)

    with pytest.raises(Unavailable, match="SSLCertVerificationError"):
        mail.send(to="ana@example.com", subject="s", text="t")

    assert mailbox.messages == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"user": "shop"}, "user and password must be given together"),
        ({"password": "secret-word"}, "user and password must be given together"),
        ({"user": "shop", "password": "secret-word", "encryption": "none"}, "must not be sent unencrypted"),
        ({"user": "shop", "password": "secret-wörd"}, "must be ASCII"),
        ({"timeout": 0}, "timeout must be above 0 seconds, is 0"),
        ({"encryption": "ssl"}, "encryption must be 'starttls', 'tls' or 'none', is 'ssl'"),
        ({"sender": "shop"}, "`sender` is not one address"),
        ({"sender": "shop@example.com\nBcc: eve@example.com"}, "`sender` is not one address"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(settings: dict[str, Any], said: str) -> None:
    valid: dict[str, Any] = {"host": "127.0.0.1", "port": 25, "sender": SENDER}

    with pytest.raises(ValueError, match=said) as refused:
        EmailNotifications(**(valid | settings))

    assert "secret" not in str(refused.value)


def test_what_is_shown_of_the_adapter_is_where_it_sends_to() -> None:
    mail = EmailNotifications("mail.example.com", 587, SENDER, user="shop", password=WRONG)

    assert repr(mail) == "<EmailNotifications mail.example.com:587, starttls>"


def _as_sent(message: EmailMessage) -> SentNotification:
    text = message.get_content().replace("\r\n", "\n").removesuffix("\n")
    effect_id, _, _ = message["Message-ID"].strip("<>").rpartition("@")
    return SentNotification(str(message["To"]), str(message["Subject"]), text, unquote(effect_id))


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as freed:
        return int(freed.getsockname()[1])
