"""How Oracle's cloud is told who calls: a signature for each request (HTTP signatures, by RSA), or a bearer key.

Owns the reading of Oracle's credentials and the words that are signed. Does not fetch or renew credentials, and does no
arithmetic: `cryptography` does. Invariant: a signature covers the address, the date and the body that are sent; keys are
in no message.

A credential is an API key of OCI Generative AI, which opens the OpenAI-compatible door alone, or a JSON object with
`tenancy`, `user`, `fingerprint` and `key` (a PEM), and maybe `pass_phrase`, `region`, `compartment_id`.

Sources: Oracle's documentation of request signatures (version 1) and LiteLLM's `oci/common_utils.py`; that API keys are
taken at the OpenAI-compatible door, Oracle's «API Keys» of OCI Generative AI; the header that names the compartment there,
Oracle's own library for it.
"""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import NamedTuple
from urllib.parse import urlsplit

from services.provider_adapter.credentials.port import Authorizer, Place
from services.provider_adapter.credentials.written import texts_in
from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError

COMPARTMENT = "compartmentId"
"""The account's field, as bodies name it."""

_SIGNED = ("date", "(request-target)", "host", "content-length", "content-type", "x-content-sha256")
_CONTENT_TYPE = "application/json"

Sign = Callable[[bytes], bytes]


class SigningKey(NamedTuple):
    """A user's key, in the words of Oracle's configuration files."""

    tenancy: str
    user: str
    fingerprint: str
    pem: str
    pass_phrase: str


def oracle_authorizer(credential: str, place: Place) -> Authorizer | None:
    """What proves who calls; None: the credential is a key, which stands in a constant header.

    Raises:
        ProviderFailedError: the credential is neither a key nor an object with what a signature takes.
    """
    if not credential.startswith("{"):
        return None
    told = texts_in(credential)
    if not {"tenancy", "user", "fingerprint", "key"} <= told.keys():
        raise _of_no_use("The credential is neither a key nor an object with tenancy, user, fingerprint and key.")
    # In variables a PEM often has its line ends written out.
    pem = told["key"].replace("\\n", "\n")
    key = SigningKey(told["tenancy"], told["user"], told["fingerprint"], pem, told.get("pass_phrase", ""))
    return SignatureAuthorizer(key, place.account.get(COMPARTMENT, ""))


class SignatureAuthorizer:
    """See `Authorizer`."""

    def __init__(self, key: SigningKey, compartment: str) -> None:
        self._key = key
        self._key_id = f"{key.tenancy}/{key.user}/{key.fingerprint}"
        # The OpenAI-compatible door has no other place for it.
        self._constant = {"CompartmentId": compartment, "opc-compartment-id": compartment} if compartment else {}
        self._sign: Sign | None = None

    async def headers(self, method: str, url: str, body: bytes) -> Mapping[str, str]:
        """Date, digest and signature of one request."""
        return {**self._constant, **await asyncio.to_thread(self._signed, method, url, body)}

    def refused(self) -> None:
        """Keys are not renewed here."""

    def _signed(self, method: str, url: str, body: bytes) -> dict[str, str]:
        """In a thread: a signature takes a millisecond, and to load what makes it much more."""
        if self._sign is None:
            self._sign = _load_signer(self._key)
        address = urlsplit(url)
        target = address.path + (f"?{address.query}" if address.query else "")
        said = {
            "date": formatdate(usegmt=True),
            "(request-target)": f"{method.lower()} {target}",
            "host": address.netloc,
            "content-length": str(len(body)),
            "content-type": _CONTENT_TYPE,
            "x-content-sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
        }
        words = "\n".join(f"{name}: {said[name]}" for name in _SIGNED)
        signature = base64.b64encode(self._sign(words.encode())).decode()
        proof = (
            f'Signature version="1",keyId="{self._key_id}",algorithm="rsa-sha256",'
            f'headers="{" ".join(_SIGNED)}",signature="{signature}"'
        )
        return {"Date": said["date"], "x-content-sha256": said["x-content-sha256"], "Authorization": proof}


def _load_signer(key: SigningKey) -> Sign:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 (for hosts that want it alone)
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415 (the same)
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415 (the same)
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 (the same)
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 (the same)

    try:
        private = load_pem_private_key(key.pem.encode(), key.pass_phrase.encode() or None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What it says may quote the key.
        raise _of_no_use("The credential's key cannot be read.") from None
    if not isinstance(private, RSAPrivateKey):
        raise _of_no_use("The credential's key is not an RSA key.")
    return lambda words: private.sign(words, PKCS1v15(), SHA256())


def _of_no_use(message: str) -> ProviderFailedError:
    return ProviderFailedError(Failure(FailureClass.AUTHENTICATION, message=message))
