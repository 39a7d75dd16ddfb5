"""Signing: an Ed25519 private key as PEM, and the signature of a manifest. `keygen` makes a pair.

OpenSSL makes the same keys (`openssl genpkey -algorithm ed25519 -out KEY` and
`openssl pkey -in KEY -pubout -out KEY.pub`) and the same signature, where the private key is to
stay on another machine than the one that exports:
`openssl pkeyutl -sign -inkey KEY -rawin -in bundle/manifest.json -out bundle/manifest.sig`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edge.errors import UserError
from edge.files import write_atomically, write_error
from edge.install.signature import import_cryptography

_EXPECTED = "expected an Ed25519 private key as PEM, as `python -m export keygen KEY` makes it"


def load_key(path) -> Any:
    """Reads a private key. Raises: UserError where the file holds none of this kind."""
    path = Path(path)
    cryptography = import_cryptography("cannot sign")
    serialization = cryptography.hazmat.primitives.serialization
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the key {path}: {error.strerror}; {_EXPECTED}") from None
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except TypeError:
        raise UserError(f"the key {path} is locked by a passphrase; {_EXPECTED}") from None
    except (ValueError, cryptography.exceptions.UnsupportedAlgorithm):
        raise UserError(f"{path} is no private key; {_EXPECTED}") from None
    if not isinstance(key, cryptography.hazmat.primitives.asymmetric.ed25519.Ed25519PrivateKey):
        raise UserError(f"{path} is a private key of another kind; {_EXPECTED}")
    return key


def keygen(path) -> Path:
    """Writes a new private key to `path`, readable by its owner alone, and the public `path`.pub.

    Returns: the public key's path. Raises: UserError where either file is there already.
    """
    path = Path(path)
    public = path.with_name(path.name + ".pub")
    cryptography = import_cryptography("cannot make a key")
    serialization = cryptography.hazmat.primitives.serialization
    for file in (path, public):
        if file.exists():
            raise UserError(f"{file} is there already; name another, no key is ever overwritten")
    key = cryptography.hazmat.primitives.asymmetric.ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as secret:
            secret.write(pem)
    except OSError as error:
        raise write_error(path, error) from None
    write_atomically(
        public,
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )
    return public
