"""What the router needs of others."""

from collections.abc import Sequence
from typing import Protocol


class UpstreamModels(Protocol):
    async def listed(self) -> Sequence[str] | None:
        """Ids of the models that the operator's own server says it has; None when it lists none.

        Raises:
            AppError: the adapter cannot be asked now.
        """
        ...
