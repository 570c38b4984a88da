"""What every body behind InvokeModel has in common: the path, who calls, and what a failure means.

Owns none of the bodies. Invariant: a model of another maker is named by its own words, whatever region stands before them.
"""

from collections.abc import Mapping
from urllib.parse import quote

from services.provider_adapter.protocols.bedrock_converse.errors import failure_of_answer
from services.provider_adapter.protocols.bedrock_converse.protocol import BedrockConverse
from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.whole_only import WholeOnly

_CONVERSE = BedrockConverse()


class Invocation(WholeOnly):
    """The part of a `WireProtocol` that bodies do not touch."""

    def headers(self, credential: str) -> Mapping[str, str]:
        return _CONVERSE.headers(credential)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of_answer(status, headers, body, now_s)


def path_of(model: str) -> str:
    return f"/model/{quote(model, safe='')}/invoke"


def unknown_model(model: str) -> ProviderFailedError:
    """Nobody has written down what this model's body is."""
    message = f"The body that {model} takes here is not known."
    return ProviderFailedError(Failure(FailureClass.NOT_FOUND, message=message))
