"""How long settlement takes after a load: asks `/credits` until it has fallen by exactly what the replies said.

Owns the question and the exact comparison. Invariant: a lag is given only when the books agree to the last digit.
"""

import http.client
import json
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

_LIMIT_S: Final = 30.0
_EVERY_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Settlement:
    """Seconds from the end of the load until credits stood where the replies' costs say; None: not within the limit.

    Attributes:
        missing_usd: what credits still owed, decimal USD; "0" when they agree.
    """

    lag_s: float | None
    missing_usd: str = "0"


class Credits:
    """The account's usage, over one connection."""

    def __init__(self, port: int, management_key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._headers = {"Authorization": f"Bearer {management_key}"}

    def total_usage(self) -> Decimal:
        self._connection.request("GET", "/api/v1/credits", headers=self._headers)
        reply = self._connection.getresponse()
        body = reply.read()
        if reply.status != 200:
            raise ConnectionError(f"/credits answered {reply.status}")
        return Decimal(json.loads(body, parse_float=Decimal)["data"]["total_usage"])

    def wait_for(self, expected: Decimal, since_s: float) -> Settlement:
        """Asks until nothing is missing; `since_s` is when the last reply was complete, on the monotonic clock."""
        while True:
            missing = expected - self.total_usage()
            elapsed_s = time.monotonic() - since_s
            if missing == 0:
                return Settlement(elapsed_s)
            if elapsed_s > _LIMIT_S:
                return Settlement(None, f"{missing:f}")
            time.sleep(_EVERY_S)

    def close(self) -> None:
        self._connection.close()
