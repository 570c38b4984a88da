"""What an unsuccessful answer of watsonx.ai means: `{"errors": [{"code", "message"}], "trace", "status_code"}`.

Owns the provider's own codes. Leaves other statuses and wordings to the general table. Invariant: whatever the bytes are,
the result is a `Failure`, never an exception.

Source: bodies that users of the service quote (403 `token_quota_reached`: the plan's tokens are used up).
"""

from collections.abc import Mapping
from dataclasses import replace

from services.provider_adapter.protocols.failures import Failure, FailureClass
from services.provider_adapter.protocols.openai_chat.errors import failure_of

_BY_CODE: Mapping[str, FailureClass] = {
    "token_quota_reached": FailureClass.INSUFFICIENT_CREDITS,
    "model_not_supported": FailureClass.NOT_FOUND,
    "authentication_token_expired": FailureClass.AUTHENTICATION,
    "authentication_token_not_valid": FailureClass.AUTHENTICATION,
}


def failure_of_answer(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
    """The failure that an answer stands for; a status of success means a body that is no reply."""
    failure = failure_of(status, headers, body, now_s)
    known = _BY_CODE.get(failure.code)
    return failure if known is None else replace(failure, failure_class=known, elsewhere=None)
