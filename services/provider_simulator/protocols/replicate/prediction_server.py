"""The life of predictions: created, then streamed, looked at or cancelled at addresses of their own.

Owns what is kept of them, the latest thousand. Does not own checks, scripts or bytes. Invariant: a prediction is counted
when it is played, which for one that streams is when its stream is asked for.
"""

import secrets
from typing import Any

import orjson
from aiohttp import web

from services.provider_simulator.protocols.native import NativeServer
from services.provider_simulator.protocols.openai.errors import error_headers
from services.provider_simulator.protocols.replicate.prediction_reply import Prediction, error_body

_MOST_KEPT = 1_000
_PATH = "/v1/models/{owner}/{name}/predictions"


class PredictionServer:
    """Serves predictions on top of a `NativeServer` of their format, which shares `kept`."""

    def __init__(self, native: NativeServer, kept: dict[str, Prediction]) -> None:
        self._native = native
        self._kept = kept

    def routes(self) -> list[web.RouteDef]:
        return [
            route
            for prefix in ("", "/{provider}")
            for route in (
                web.post(prefix + _PATH, self.create),
                web.get(prefix + "/v1/streams/{id}", self.stream),
                web.get(prefix + "/v1/predictions/{id}", self.look),
                web.post(prefix + "/v1/predictions/{id}/cancel", self.cancel),
            )
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """One that streams is kept; any other is waited for, as `Prefer: wait` asks."""
        body = _object(await request.read())
        if body is None or "model" in body or "id" in body:
            return _refused(400, "The request body is not a prediction.")
        if not request.headers.get("Authorization"):
            return _refused(401, "You did not pass an authentication token")
        model = f"{request.match_info['owner']}/{request.match_info['name']}"
        slug = request.match_info.get("provider", "")
        base = f"{request.url.origin()}{f'/{slug}' if slug else ''}/v1"
        prediction = Prediction(secrets.token_hex(13), model, base)
        prediction.body = orjson.dumps({**body, "model": model, "id": prediction.id})
        if len(self._kept) >= _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[prediction.id] = prediction
        if body.get("stream") is not True:
            return await self._native.generate(request, prediction.body)
        return web.json_response(prediction.document(), status=201)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        prediction = self._kept.get(request.match_info["id"])
        if prediction is None:
            return _refused(404, "There is no such stream.")
        return await self._native.generate(request, prediction.body)

    async def look(self, request: web.Request) -> web.StreamResponse:
        prediction = self._kept.get(request.match_info["id"])
        return (
            _refused(404, "There is no such prediction.")
            if prediction is None
            else web.json_response(prediction.document())
        )

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        prediction = self._kept.get(request.match_info["id"])
        if prediction is None:
            return _refused(404, "There is no such prediction.")
        prediction.status = "canceled"
        return web.json_response(prediction.document())


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _refused(status: int, message: str) -> web.Response:
    return web.Response(body=error_body(status, message), status=status, headers=error_headers(status))
