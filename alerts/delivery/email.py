"""E-mail over SMTP: TLS unless told otherwise, to addresses that a person wrote."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any, ClassVar

from alerts.delivery.base import Field, Message, Reachable, Result, Settings, clipped
from subsystems.kernel.errors import Invalid
from subsystems.kernel.texts import gettext_noop as _

SECONDS = 10.0
MAX_RECIPIENTS = 50
PORTS = {"starttls": 587, "tls": 465, "none": 25}
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*")


class NotReachable(OSError):
    """Every address of the server lies where no connection may go."""


class Email:
    kind: ClassVar[str] = "email"
    title: ClassVar[str] = "E-mail"
    fields: ClassVar[tuple[Field, ...]] = (
        Field("to", _("To"), help=_("Addresses, separated by commas")),
        Field("host", _("SMTP server")),
        Field("port", _("Port"), required=False, help=_("587, or 465 with TLS from the start")),
        Field(
            "security",
            _("Security"),
            required=False,
            default="starttls",
            help=_("starttls, tls or none"),
        ),
        Field("sender", _("From")),
        Field("user", _("User"), required=False),
        Field("password", _("Password"), secret=True, required=False),
    )

    def check(self, settings: Settings) -> None:
        _recipients(settings)
        if not _ADDRESS.fullmatch(settings.get("sender", "")):
            raise Invalid("This is no address.", field="sender")
        if not re.fullmatch(r"[A-Za-z0-9.:_-]{1,253}", settings.get("host", "")):
            raise Invalid("This is no host.", field="host")
        _security(settings)
        _port(settings)
        if settings.get("password") and _security(settings) == "none":
            raise Invalid("A password is not sent without TLS.", field="security")

    def send(self, message: Message, settings: Settings, reachable: Reachable) -> Result:
        """Send, and wait for the server's answer."""
        try:
            return self._send(message, settings, reachable)
        except NotReachable as error:
            return Result(False, str(error))
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            return Result(False, f"all recipients refused ({codes[0]})", again=all(400 <= code < 500 for code in codes))
        except smtplib.SMTPResponseException as error:
            return Result(False, f"answered with {error.smtp_code}", again=400 <= error.smtp_code < 500)
        except (smtplib.SMTPException, OSError) as error:
            return Result(False, (str(error) or type(error).__name__)[:200], again=True)

    def _send(self, message: Message, settings: Settings, reachable: Reachable) -> Result:
        with _connected(settings, reachable) as server:
            if settings.get("user") and settings.get("password"):
                server.login(settings["user"], settings["password"])
            refused = server.send_message(_mail(message, settings), settings["sender"], _recipients(settings))
        return Result(True, error=f"{len(refused)} recipients refused" if refused else "")


def _connected(settings: Settings, reachable: Reachable) -> smtplib.SMTP:
    security, host = _security(settings), settings["host"]
    connect = _to_checked(reachable)
    if security == "tls":
        return _SmtpSsl(connect, host, _port(settings), timeout=SECONDS, context=ssl.create_default_context())
    server = _Smtp(connect, host, _port(settings), timeout=SECONDS)
    if security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server


def _to_checked(reachable: Reachable) -> Callable[[str, int, float], socket.socket]:
    """Return what connects only to an address that was judged: the very one, not the name once more."""

    def connect(host: str, port: int, timeout: float) -> socket.socket:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        allowed = [row for row in rows if reachable(host, str(row[4][0]))]
        if not allowed:
            raise NotReachable(f"refused: {host} is an internal address; VSM_HTTP_ALLOW would permit it")
        return socket.create_connection((str(allowed[0][4][0]), port), timeout)

    return connect


class _Smtp(smtplib.SMTP):
    def __init__(self, connect: Callable[[str, int, float], socket.socket], *args: Any, **options: Any) -> None:
        self._connect_to = connect
        super().__init__(*args, **options)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._connect_to(host, port, timeout)


class _SmtpSsl(smtplib.SMTP_SSL):
    def __init__(self, connect: Callable[[str, int, float], socket.socket], *args: Any, **options: Any) -> None:
        self._connect_to = connect
        super().__init__(*args, **options)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self.context.wrap_socket(self._connect_to(host, port, timeout), server_hostname=host)


def _mail(message: Message, settings: Settings) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = " ".join(clipped(message.title, 200).split())
    mail["From"], mail["To"] = settings["sender"], ", ".join(_recipients(settings))
    mail["Date"] = formatdate(message.timestamp)
    domain = settings["sender"].rpartition("@")[2]
    mail["Message-ID"] = f"<{message.id}@{domain}>"  # the same at every try: a mailbox may drop the second
    mail["References"] = f"<{message.thread}@{domain}>"  # one conversation per group
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join([*message.lines, "", message.url]))
    return mail


def _recipients(settings: Settings) -> list[str]:
    found = [each.strip() for each in settings.get("to", "").split(",") if each.strip()]
    if not found or len(found) > MAX_RECIPIENTS or not all(_ADDRESS.fullmatch(each) for each in found):
        raise Invalid(f"One to {MAX_RECIPIENTS} addresses, separated by commas.", field="to")
    return found


def _security(settings: Settings) -> str:
    found = settings.get("security") or "starttls"
    if found not in PORTS:
        raise Invalid("starttls, tls or none.", field="security")
    return found


def _port(settings: Settings) -> int:
    text = settings.get("port") or str(PORTS[_security(settings)])
    if not text.isdecimal() or not 0 < int(text[:6]) < 65_536:
        raise Invalid("A port is a number.", field="port")
    return int(text)
