"""The one tree of errors."""

from __future__ import annotations


class VsmError(Exception):
    """Root of every error that the platform raises on purpose."""

    code = "error"


class TransientError(VsmError):
    """Something outside failed for now; the caller may try again."""

    code = "transient"


class Refused(VsmError):
    """The request breaks a rule; told to the caller as it is (HTTP 409 unless a subclass says otherwise)."""

    code = "refused"

    def __init__(self, detail: str, *, field: str = "", code: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.code = code or type(self).code


class NotListed(Refused):
    """No such thing among what is offered (HTTP 404)."""

    code = "not_listed"


class Forbidden(Refused):
    """Somebody else may do this (HTTP 403)."""

    code = "permission_denied"


class Invalid(Refused):
    """A field has a value that cannot be used (HTTP 400)."""

    code = "invalid"
