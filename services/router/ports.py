"""What the router needs of others, and what it is told by them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from services.router.core.health import Verdict


class UpstreamModels(Protocol):
    async def listed(self) -> Sequence[str] | None:
        """Ids of the models that the operator's own server says it has; None when it lists none.

        Raises:
            AppError: the adapter cannot be asked now.
        """
        ...


class Outcome(NamedTuple):
    """How one attempt ended. The speeds are 0 unless it succeeded."""

    endpoint_id: str
    verdict: Verdict
    at_s: int
    latency_ms: int
    total_ms: int
    completion_tokens: int
