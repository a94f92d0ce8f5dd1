"""Notifications to the log, and by e-mail over SMTP."""

from __future__ import annotations

import re
import smtplib
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, make_msgid
from typing import Any, Literal
from urllib.parse import quote

import structlog

from ..service.ports import NotificationRefused, Notifications, Unavailable

Encryption = Literal["starttls", "tls", "none"]
"""How a mail server is spoken to: plain at first and then encrypted, encrypted from the start, or never."""

# Whatever can end a header's line somewhere on the way, and what no terminal or mail program should be shown.
_NOT_ONE_LINE = re.compile("[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
# Stricter than the standard library's parser, which finds several addresses, or stumbles, where this finds
# none. The encoded words that `=?` begins would be read as another address further on.
_ADDRESS = re.compile(
    r"(?:(?P<display>[^<>@]*)(?P<open><))?(?P<user>[\w!#$%&'*+/=?^`{|}~.-]+)@(?P<domain>[\w-]+(?:\.[\w-]+)*)(?(open)>)"
)
_ATOM = "!#$&'*+/=?^_`{|}~.-"
_LONGEST_REPLY = 200

_log = structlog.get_logger()


class _LiteralSubjects(EmailPolicy):
    """Writes a subject as it is given; the standard library would read encoded words, line breaks and all."""

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        if name != "Subject":
            return super().header_store_parse(name, value)
        is_plain = value.isascii() and "=?" not in value
        return name, Header(value, "us-ascii" if is_plain else "utf-8", header_name=name).encode()


# Not every server takes eight bits, and none that does minds seven.
_POLICY = _LiteralSubjects(linesep="\r\n", cte_type="7bit")


def refuse_broken_lines(*, to: str, subject: str) -> None:
    """Raise `NotificationRefused` for an empty `to`, and for a line break or control character in either."""
    if not to.strip():
        raise NotificationRefused("The notification was not sent: `to` is empty; give one address.")
    for field, value in (("to", to), ("subject", subject)):
        if found := _NOT_ONE_LINE.search(value):
            raise NotificationRefused(
                f"The notification was not sent: `{field}` has a line break or control character "
                f"({found.group()!r}) at position {found.start()}; give one line of text."
            )


class LogNotifications(Notifications):
    """Writes notifications to the log as `notification.sent`, text included: for development."""

    def send(self, *, to: str, subject: str, text: str, effect_id: str | None = None) -> None:
        """Log one notification; whoever reads the log can read it."""
        refuse_broken_lines(to=to, subject=subject)
        _log.info("notification.sent", to=to, subject=subject, text=text, effect_id=effect_id)


class EmailNotifications(Notifications):
    """Sends notifications as plain-text e-mail through an SMTP server, one connection for each.

    `sender` is an address such as `shop@example.com` or `Shop <shop@example.com>`. `user` and `password` come
    together, or are both None where the server asks for none; they are not sent unencrypted. `timeout` is in
    seconds, above zero, for each answer of the server. `tls` says which certificates to trust, None for the
    system's. Raises ValueError when one of these is wrong; connects only to send.
    """

    def __init__(
        self,
        host: str,
        port: int,
        sender: str,
        *,
        user: str | None = None,
        password: str | None = None,
        encryption: Encryption = "starttls",
        timeout: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        _check_settings(user, password, encryption, timeout)
        self._host, self._port, self._timeout = host, port, timeout
        self._sender = _address("sender", sender)
        self._user, self._password = user, password
        self._encryption = encryption
        self._tls = tls

    def __repr__(self) -> str:
        return f"<EmailNotifications {self._server}, {self._encryption}>"

    def send(self, *, to: str, subject: str, text: str, effect_id: str | None = None) -> None:
        """Send one e-mail to the one address in `to`; `effect_id` becomes the `Message-ID`.

        Raises `NotificationRefused` where the server refuses for good (5xx) or cannot be used as configured,
        and `Unavailable` where it cannot be reached, breaks off or asks to be tried later (4xx).
        """
        refuse_broken_lines(to=to, subject=subject)
        recipient = _recipient(to)
        message = self._message(recipient, subject, text, effect_id)
        try:
            self._deliver(message, recipient)
        except OSError as error:  # every error of smtplib is an OSError
            raise self._translated(error, hidden=recipient.addr_spec) from None

    @property
    def _server(self) -> str:
        return f"{self._host}:{self._port}"

    def _message(self, to: Address, subject: str, text: str, effect_id: str | None) -> EmailMessage:
        message = EmailMessage(policy=_POLICY.clone(utf8=self._needs_utf8(to)))
        try:
            message["From"], message["To"], message["Subject"] = self._sender, to, subject
            message["Date"] = format_datetime(datetime.now(UTC))
            message["Message-ID"] = _message_id(effect_id, self._sender.domain)
            message["Auto-Submitted"] = "auto-generated"
            message.set_content(text)
            message.as_bytes()
        except ValueError as error:
            raise NotificationRefused(
                f"The notification was not sent: it cannot be written as an e-mail ({type(error).__name__}); "
                "give `to`, `subject` and `text` in Unicode that can be encoded."
            ) from None
        return message

    def _needs_utf8(self, to: Address) -> bool:
        return not f"{self._sender.addr_spec}{to.addr_spec}".isascii()

    def _deliver(self, message: EmailMessage, to: Address) -> None:
        options = ["SMTPUTF8", "BODY=8BITMIME"] if self._needs_utf8(to) else []
        server = self._connected()
        try:
            if self._encryption == "starttls":
                server.starttls(context=self._trusted())
            if self._user is not None and self._password is not None:
                server.login(self._user, self._password)
            # Not by send_message, which changes lines of the text that begin with "From ".
            server.sendmail(self._sender.addr_spec, [to.addr_spec], message.as_bytes(), options)
        finally:
            # The e-mail is accepted, or has failed already: a server that cannot say goodbye changes neither.
            with suppress(OSError):
                server.quit()
            server.close()

    def _connected(self) -> smtplib.SMTP:
        if self._encryption == "tls":
            return smtplib.SMTP_SSL(self._host, self._port, timeout=self._timeout, context=self._trusted())
        return smtplib.SMTP(self._host, self._port, timeout=self._timeout)

    def _trusted(self) -> ssl.SSLContext:
        return self._tls or ssl.create_default_context()

    def _translated(self, error: OSError, *, hidden: str) -> Unavailable | NotificationRefused:
        """Say what went wrong, but not to whom: logs are no place for addresses and passwords."""
        said = self._redacted(_words(error), hidden)
        code = _code(error)
        if code is not None and code < 500:
            return Unavailable(f"{self._server} does not take the e-mail now ({_stage(error)}): {said}.")
        if code is not None:
            return NotificationRefused(
                f"{self._server} refused the e-mail for good ({_stage(error)}): {said}. "
                "Correct the address, or the sender, user and password in the settings."
            )
        if _is_misfit(error):
            return NotificationRefused(
                f"{self._server} cannot be used as the settings say (encryption {self._encryption!r}, "
                f"{'with' if self._user else 'without'} a user): {said}."
            )
        return Unavailable(
            f"{self._server} cannot be reached, or broke off ({type(error).__name__}: {said}). "
            f"An SMTP server with encryption {self._encryption!r} is expected there."
        )

    def _redacted(self, said: str, recipient: str) -> str:
        for hidden in filter(None, (recipient, self._password)):
            said = re.sub(re.escape(hidden), "(hidden)", said, flags=re.IGNORECASE)
        return " ".join(said.split())[:_LONGEST_REPLY].rstrip(".")


def _check_settings(user: str | None, password: str | None, encryption: Encryption, timeout: float) -> None:
    if encryption not in ("starttls", "tls", "none"):
        raise ValueError(f"encryption must be 'starttls', 'tls' or 'none', is {encryption!r}.")
    if timeout <= 0:
        raise ValueError(f"timeout must be above 0 seconds, is {timeout}.")
    if (user is None) is not (password is None):
        raise ValueError("user and password must be given together, or neither; only one of them was given.")
    if password is not None and encryption == "none":
        raise ValueError("A password must not be sent unencrypted: set encryption to 'starttls' or 'tls'.")
    if not f"{user}{password}".isascii():
        raise ValueError("user and password must be ASCII: SMTP has no way to send others.")


def _address(field: str, text: str) -> Address:
    """Read the one address in the text, or raise a ValueError that does not repeat it."""
    found = _ADDRESS.fullmatch(text.strip())
    if found is None or "=?" in text:
        expected = "one address such as 'ana@example.com' or 'Ana <ana@example.com>'"
        raise ValueError(f"`{field}` is not {expected}.")
    return Address((found["display"] or "").strip(' "'), found["user"], found["domain"])


def _recipient(to: str) -> Address:
    try:
        return _address("to", to)
    except ValueError as error:
        raise NotificationRefused(f"The notification was not sent: {error}") from None


def _message_id(effect_id: str | None, domain: str) -> str:
    # Percent signs are encoded too, so that two effects never share an id.
    return f"<{quote(effect_id, safe=_ATOM)}@{domain}>" if effect_id else make_msgid(domain=domain)


def _reply(error: OSError) -> tuple[int, bytes | str] | None:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return next(iter(error.recipients.values()))
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code, error.smtp_error
    return None


def _code(error: OSError) -> int | None:
    """Give the code that the server answered with, or None where it did not answer."""
    reply = _reply(error)
    return reply and reply[0]


def _words(error: OSError) -> str:
    if (reply := _reply(error)) is None:
        return str(error)
    code, words = reply
    return f"{code} {words.decode('utf-8', 'replace') if isinstance(words, bytes) else words}"


def _is_misfit(error: OSError) -> bool:
    """Whether the server answers, but lacks what the settings ask for, such as STARTTLS."""
    return isinstance(error, smtplib.SMTPException) and not isinstance(error, smtplib.SMTPServerDisconnected)


def _stage(error: OSError) -> str:
    return {
        smtplib.SMTPConnectError: "on connecting",
        smtplib.SMTPHeloError: "on greeting",
        smtplib.SMTPAuthenticationError: "user or password",
        smtplib.SMTPSenderRefused: "sender",
        smtplib.SMTPRecipientsRefused: "recipient",
    }.get(type(error), "content")
