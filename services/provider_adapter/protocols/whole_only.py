"""What the formats of operations have in common whose replies never stream."""

from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import Attempt, Prepared, StreamDecoder


class WholeOnly:
    """The half of a `WireProtocol` that they all answer alike."""

    def decoder(self, attempt: Attempt, _prepared: Prepared) -> StreamDecoder:
        message = f"A reply to {attempt.operation} does not stream."
        raise ProviderFailedError(Failure(FailureClass.INVALID_REQUEST, message=message))
