"""Sealing what is secret before it is stored: authenticated encryption under a key derived from the platform's own."""

from __future__ import annotations

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from subsystems.kernel.errors import VsmError

PURPOSE = b"vsm.s1_operations.broker_url.v1"  # another purpose gets another key from the same secret


class CannotOpen(VsmError):
    """The text was sealed under another secret key, or was changed."""

    code = "cannot_open"


def seal(text: str, secret_key: str) -> str:
    """Return *text* encrypted."""
    sealed: bytes = _box(secret_key).encrypt(text.encode())
    return sealed.decode()


def unseal(sealed: str, secret_key: str) -> str:
    """Return what was sealed. Raises CannotOpen."""
    try:
        opened: bytes = _box(secret_key).decrypt(sealed.encode())
    except InvalidToken:
        raise CannotOpen("It was sealed under another secret key; give the broker's address again.") from None
    return opened.decode()


def _box(secret_key: str) -> Fernet:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(secret_key.encode())
    return Fernet(urlsafe_b64encode(key))
