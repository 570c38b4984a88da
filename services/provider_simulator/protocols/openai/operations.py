"""What OpenAI's operations beside chat have in common as NativeFormats: the key, the model, and refusals.

Owns these. Does not own any operation. Invariant: whatever is refused is refused in OpenAI's shape.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from aiohttp import web

from services.provider_simulator.core.directive import Directive, DirectiveError, find_directive
from services.provider_simulator.core.script import Script
from services.provider_simulator.protocols.native import NativeServer, RefusedNativeError
from services.provider_simulator.protocols.openai.chat_request import model_of
from services.provider_simulator.protocols.openai.errors import (
    RefusedError,
    check_key,
    error_headers,
    refusal_body,
    simulated_error,
)
from services.provider_simulator.protocols.whole_reply import WholeReply


class OpenAiRefusedError(RefusedNativeError):
    """Carries OpenAI's four fields."""

    def __init__(self, refused: RefusedError) -> None:
        super().__init__(refused.message, status=refused.status, kind=refused.kind)
        self.refused = refused


def routes(server: NativeServer, path: str) -> list[web.RouteDef]:
    return [web.post(f"/v1{path}", server.generate), web.post(f"/{{provider}}/v1{path}", server.generate)]


def directive_in(texts: Iterable[str], param: str) -> tuple[Directive | None, str]:
    """The directive, and the texts without it.

    Raises:
        OpenAiRefusedError: it is not understood.
    """
    try:
        return find_directive(list(texts))
    except DirectiveError as error:
        raise OpenAiRefusedError(RefusedError(str(error), param=param, code="invalid_directive")) from None


class OperationFormat:
    """The half of a `NativeFormat` that these operations answer alike.

    Args:
        refuse_unknown: a field that is not known is an error.
    """

    def __init__(self, *, refuse_unknown: bool) -> None:
        self._refuse_unknown = refuse_unknown

    def authorize(self, request: web.Request) -> None:
        try:
            check_key(request.headers)
        except RefusedError as refused:
            raise OpenAiRefusedError(refused) from None

    def model_of(self, request: web.Request, body: Mapping[str, Any]) -> str:  # noqa: ARG002 (elsewhere it is in the path)
        try:
            return model_of(body)
        except RefusedError as refused:
            raise OpenAiRefusedError(refused) from None

    def refusal(self, refused: RefusedNativeError) -> tuple[Mapping[str, str], bytes]:
        if isinstance(refused, OpenAiRefusedError):
            return error_headers(refused.status), refusal_body(refused.refused)
        is_unknown = refused.status == 404
        code, param = ("model_not_found", "model") if is_unknown else (None, None)
        told = RefusedError(refused.message, status=refused.status, param=param, code=code)
        return error_headers(refused.status), refusal_body(told)


class OperationReply(WholeReply):
    """A body that is there at once; implements `player.Rendering`."""

    def __init__(self, script: Script, body: Any) -> None:
        super().__init__(body)
        self._status = script.status

    def failure(self) -> tuple[Mapping[str, str], bytes]:
        return error_headers(self._status), orjson.dumps({"error": simulated_error(self._status)})
