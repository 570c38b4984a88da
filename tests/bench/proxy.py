"""The least that an HTTP proxy in Python does: `python -m tests.bench.proxy BASE_URL` prints its port.

One aiohttp server, one client session, chunks relayed as they come; no keys, no money, no parsing. What a gateway costs
beyond this is what it does beyond this.
"""

import asyncio
import sys
from typing import Final

import aiohttp
import uvloop
from aiohttp import web

_KEEP: Final = ("Content-Type", "Authorization")


def application(base_url: str) -> web.Application:
    session_key = web.AppKey("session", aiohttp.ClientSession)

    async def relay(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name: request.headers[name] for name in _KEEP if name in request.headers}
        async with request.app[session_key].post(base_url + request.path, data=body, headers=headers) as reply:
            if reply.content_length is not None:
                whole = await reply.read()
                return web.Response(status=reply.status, body=whole, content_type=reply.content_type)
            stream = web.StreamResponse(status=reply.status, headers={"Content-Type": reply.content_type})
            await stream.prepare(request)
            async for piece in reply.content.iter_any():
                await stream.write(piece)
            await stream.write_eof()
            return stream

    async def start(app: web.Application) -> None:
        app[session_key] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def stop(app: web.Application) -> None:
        await app[session_key].close()

    app = web.Application()
    app.router.add_post("/{path:.*}", relay)
    app.on_startup.append(start)
    app.on_cleanup.append(stop)
    return app


async def serve(base_url: str) -> None:
    runner = web.AppRunner(application(base_url), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
