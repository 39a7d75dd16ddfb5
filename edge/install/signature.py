"""Ed25519 signatures: `manifest.sig` holds the 64 bytes of one over the bytes of `manifest.json`.

The manifest's hashes cover the other files. OpenSSL makes and checks the same signature:
`openssl pkeyutl -verify -pubin -inkey KEY.pub -rawin -in manifest.json -sigfile manifest.sig`.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any, Optional

from edge.errors import BundleError, UserError

SIGNATURE = "manifest.sig"
SIGNATURE_BYTES = 64
_MAX_KEY_BYTES = 16 * 1024
_EXPECTED = "expected an Ed25519 public key as PEM, or the base64 of its 32 bytes"


def trusted_keys(folder) -> dict:
    """The public keys `folder`/*.pub: file name -> key. Empty where there is no such folder.

    Raises: UserError where anything else lies there, so that no slip switches the check off, and
        where the `cryptography` package is missing.
    """
    folder = Path(folder)
    try:
        files = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UserError(f"cannot read {folder}: {error.strerror}") from None
    return {path.name: _read_key(path) for path in files}


def check_signature(manifest: bytes, signature: Optional[bytes], keys: dict) -> str:
    """Returns the name of the key that made the signature. Raises: BundleError where none did."""
    invalid = import_cryptography("cannot check signatures").exceptions.InvalidSignature
    if signature is None:
        raise BundleError(f"the bundle is not signed ({SIGNATURE} is missing); {_remedy(keys)}")
    for name, key in keys.items():
        try:
            key.verify(signature, manifest)
        except invalid:
            continue
        return name
    raise BundleError(f"{SIGNATURE} is not of this manifest and a trusted key; {_remedy(keys)}")


def _remedy(keys: dict) -> str:
    return f"export it with `--sign KEY`, with the private key of {' or '.join(keys)}"


def _read_key(path: Path):
    if path.suffix != ".pub":
        raise UserError(f"{path} is none of the trusted keys, which end in .pub; rename or move it")
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_KEY_BYTES)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    cryptography = import_cryptography("cannot check signatures")
    serialization = cryptography.hazmat.primitives.serialization
    ed25519 = cryptography.hazmat.primitives.asymmetric.ed25519
    try:
        if b"-----BEGIN" in content:
            key = serialization.load_pem_public_key(content)
        else:
            raw = base64.b64decode(content.strip(), validate=True)
            key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
    except (ValueError, binascii.Error, cryptography.exceptions.UnsupportedAlgorithm):
        raise UserError(f"{path} is no key: {_EXPECTED}") from None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise UserError(f"{path} is a key of another kind: {_EXPECTED}")
    return key


def import_cryptography(what_fails: str) -> Any:
    """The package, with what is used of it. Raises: UserError with the line that installs it."""
    try:
        import cryptography.exceptions
        import cryptography.hazmat.primitives.asymmetric.ed25519
        import cryptography.hazmat.primitives.serialization
    except ImportError as error:
        raise UserError(f"{what_fails}: {error}; run `pip install cryptography`") from None
    return cryptography
