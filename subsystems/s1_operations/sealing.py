"""Sealing what is secret before it is stored: authenticated encryption under a key derived from the platform's own."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

from subsystems.kernel.errors import VsmError

PURPOSE = b"vsm.s1_operations.broker_url.v1"  # another purpose gets another key from the same secret


class CannotOpen(VsmError):
    """The text was sealed under another secret key, or was changed."""

    code = "cannot_open"


def seal(text: str, secret_key: str, purpose: bytes = PURPOSE) -> str:
    """Return *text* encrypted."""
    sealed: bytes = _box(secret_key, purpose).encrypt(text.encode())
    return sealed.decode()


def unseal(sealed: str, secret_key: str, purpose: bytes = PURPOSE) -> str:
    """Return what was sealed. Raises CannotOpen."""
    from cryptography.fernet import InvalidToken

    try:
        opened: bytes = _box(secret_key, purpose).decrypt(sealed.encode())
    except InvalidToken:
        raise CannotOpen("It was sealed under another secret key; give it again.") from None
    return opened.decode()


@lru_cache(maxsize=8)
def _box(secret_key: str, purpose: bytes) -> Fernet:
    # Eight megabytes that a process without any sealed address does without.
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(secret_key.encode())
    return Fernet(urlsafe_b64encode(key))
