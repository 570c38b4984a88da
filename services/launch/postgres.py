"""PostgreSQL under supervision, in either shape.

Owns its part for the supervisor. Does not know what is stored. Invariant: whatever kills it, it comes back at the same
address.
"""

from libs.pg.embedded import EmbeddedPostgres


class PostgresPart:
    """The embedded server; one that a killed run left behind is adopted."""

    kind = "postgres"
    name = "postgres"

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server

    async def start(self) -> int:
        await self._server.start()
        assert self._server.pid is not None
        return self._server.pid

    async def wait(self) -> str:
        await self._server.wait_dead()
        return "postmaster gone"

    async def stop(self) -> None:
        await self._server.stop()
