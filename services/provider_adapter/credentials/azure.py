"""Proof of who calls Azure: a key of the resource, or a token of Entra's.

Owns the choice between both by the look of the credential. Does not fetch tokens: an operator who uses Entra puts one
in, and renews it. Invariant: one header, never both; Azure takes a bearer for a token and refuses a key there.
"""

from collections.abc import Mapping

_JSON_IN_BASE64 = "eyJ"


class AzureAuthorizer:
    """See `Authorizer`."""

    def __init__(self, credential: str) -> None:
        is_token = credential.startswith(_JSON_IN_BASE64) and credential.count(".") == 2
        self._headers = {"Authorization": f"Bearer {credential}"} if is_token else {"api-key": credential}

    async def headers(self, method: str, url: str, body: bytes) -> Mapping[str, str]:  # noqa: ARG002 (a constant proof)
        return self._headers

    def refused(self) -> None:
        """A constant proof has no better one behind it."""


def azure_authorizer(credential: str, base_url: str) -> AzureAuthorizer:  # noqa: ARG001 (the same at every address)
    return AzureAuthorizer(credential)
