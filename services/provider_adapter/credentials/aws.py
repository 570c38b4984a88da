"""How AWS is told who calls: a signature for each request (SigV4, by botocore), or a bearer key.

Owns the reading of AWS credentials and which of the two they make. Does not fetch or renew credentials. Invariant: a
signature covers the address and the body that are sent; keys are in no message.

A credential is a Bedrock API key, or a JSON object with `access_key_id`, `secret_access_key` and maybe `session_token`,
or with `api_key`; `region` in it is the region where the address does not name one.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from services.provider_adapter.credentials.port import Authorizer
from services.provider_adapter.credentials.written import texts_in
from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError

_HOST = re.compile(r"^https?://(?:[^/]*\.)?(bedrock(?:-runtime|-mantle)?)(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d)\.")
_DEFAULT_REGION = "us-east-1"
_SERVICES: Mapping[str, str] = {"bedrock-mantle": "bedrock-mantle"}
_LARGE_BODY_BYTES = 256 * 1024

Sign = Callable[[str, str, bytes], dict[str, str]]


class AccessKey(NamedTuple):
    """A pair of keys, of a user or, with a token, of a session."""

    access_key_id: str
    secret_access_key: str
    session_token: str


def aws_authorizer(credential: str, base_url: str) -> Authorizer | None:
    """What proves who calls at an address; None: the credential is a key, which stands in a constant header.

    Raises:
        ProviderFailedError: the credential is neither a key nor an object with keys.
    """
    if not credential.startswith("{"):
        return None
    told = texts_in(credential)
    if "api_key" in told:
        return BearerAuthorizer(told["api_key"])
    if "access_key_id" not in told or "secret_access_key" not in told:
        raise _of_no_use()
    key = AccessKey(told["access_key_id"], told["secret_access_key"], told.get("session_token", ""))
    found = _HOST.match(base_url)
    region = found[2] if found else told.get("region", _DEFAULT_REGION)
    service = _SERVICES.get(found[1], "bedrock") if found else "bedrock"
    return SignatureAuthorizer(key, region, service)


class BearerAuthorizer:
    """See `Authorizer`."""

    def __init__(self, key: str) -> None:
        self._headers = {"Authorization": f"Bearer {key}"}

    async def headers(self, method: str, url: str, body: bytes) -> Mapping[str, str]:  # noqa: ARG002 (the same for all)
        return self._headers

    def refused(self) -> None:
        """A constant proof has no better one behind it."""


class SignatureAuthorizer:
    """See `Authorizer`."""

    def __init__(self, key: AccessKey, region: str, service: str) -> None:
        self._key = key
        self._region = region
        self._service = service
        self._sign: Sign | None = None

    async def headers(self, method: str, url: str, body: bytes) -> Mapping[str, str]:
        """Date, signature and token of one request; the rest of its headers is not signed."""
        if self._sign is None:
            # The signing half of botocore takes a quarter of a second to load, for hosts that want it alone.
            self._sign = await asyncio.to_thread(_load_signer, self._key, self._region, self._service)
        if len(body) > _LARGE_BODY_BYTES:
            return await asyncio.to_thread(self._sign, method, url, body)
        return self._sign(method, url, body)

    def refused(self) -> None:
        """Keys are not renewed here."""


def _load_signer(key: AccessKey, region: str, service: str) -> Sign:
    from botocore.auth import SigV4Auth  # noqa: PLC0415 (see `headers`)
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415 (the same)
    from botocore.credentials import Credentials  # noqa: PLC0415 (the same)

    auth = SigV4Auth(Credentials(*key[:2], key.session_token or None), service, region)

    def sign(method: str, url: str, body: bytes) -> dict[str, str]:
        request = AWSRequest(method=method, url=url, data=body)
        auth.add_auth(request)
        return dict(request.headers.items())

    return sign


def _of_no_use() -> ProviderFailedError:
    message = "The credential is neither a key nor an object with access_key_id and secret_access_key."
    return ProviderFailedError(Failure(FailureClass.AUTHENTICATION, message=message))
