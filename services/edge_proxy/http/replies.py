"""Replies: ready-made JSON with the headers of the API.

Owns headers and error rendering for HTTP. Invariant: every error leaves in the common envelope.
"""

import math

from aiohttp import web

from libs.errors import AppError
from services.edge_proxy.core.error_body import error_body

GENERATION_ID = "X-Generation-Id"


def json_reply(body: bytes, *, status: int = 200, generation_id: str = "") -> web.Response:
    headers = {"Content-Type": "application/json"}
    if generation_id:
        headers[GENERATION_ID] = generation_id
    return web.Response(body=body, status=status, headers=headers)


def error_reply(error: AppError, *, generation_id: str = "", routing: bytes = b"") -> web.Response:
    """`routing`: JSON that says how the request was routed, for callers who asked."""
    reply = json_reply(error_body(error, routing), status=error.http_status, generation_id=generation_id)
    if error.retry_after_s is not None and error.http_status in {429, 503, 529}:
        reply.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.http_status in {408, 413}:
        reply.force_close()
    return reply
