"""How many calls may be made at a time with one credential.

Owns the count. Does not wait: who is over the limit is told so, and may be tried elsewhere. Invariant: what was entered
is left once, and a credential that is not in use takes no memory.
"""

from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError


class CredentialLimits:
    """Counts calls by provider and credential; `most` None: no limit."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._calls: dict[tuple[str, str], int] = {}

    def enter(self, slug: str, credential: str) -> "Entered":
        """Counts a call.

        Raises:
            ProviderFailedError: there are as many as there may be.
        """
        key = (slug, credential)
        calls = self._calls.get(key, 0)
        if self._most is not None and calls >= self._most:
            message = "As many calls are being made with the gateway's credential as may be."
            raise ProviderFailedError(Failure(FailureClass.RATE_LIMITED, message=message, retry_after_s=1.0))
        self._calls[key] = calls + 1
        return Entered(self, key)

    def leave(self, key: tuple[str, str]) -> None:
        calls = self._calls[key] - 1
        if calls:
            self._calls[key] = calls
        else:
            del self._calls[key]


class Entered:
    """One call that counts until it is left."""

    __slots__ = ("_key", "_limits")

    def __init__(self, limits: CredentialLimits, key: tuple[str, str]) -> None:
        self._limits: CredentialLimits | None = limits
        self._key = key

    def leave(self) -> None:
        limits, self._limits = self._limits, None
        if limits is not None:
            limits.leave(self._key)
