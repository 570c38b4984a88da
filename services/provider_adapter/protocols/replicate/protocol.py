"""Replicate's predictions as a `WireProtocol`: ties the pure modules of this folder together.

A prediction is created, and is then somewhere else: its stream at an address that it names, its end and its counts at
another. `TakesSteps` says which to ask.
"""

from collections.abc import Mapping

from services.provider_adapter.protocols.failures import Failure
from services.provider_adapter.protocols.port import Attempt, MediaNeeds, Prepared, ReplyFacts, Step
from services.provider_adapter.protocols.replicate.errors import failure_of_answer
from services.provider_adapter.protocols.replicate.request import prepare
from services.provider_adapter.protocols.replicate.response import address_in, is_under_way, prediction_in, whole
from services.provider_adapter.protocols.replicate.stream import PredictionStreamDecoder
from services.provider_adapter.protocols.translated import broken_reply

_POLL_S = 0.5


class Replicate:
    """See `WireProtocol` and `TakesSteps`. Images are read by address; files have to be had to become text."""

    media = MediaNeeds(frozenset({"file"}))
    # Where streams are, beside the host itself: stream.replicate.com, stream-b.svc.….c.replicate.net.
    domains = (".replicate.com", ".replicate.net")

    def headers(self, credential: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {credential}"} if credential else {}

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:  # noqa: ARG002 (there is one host)
        return prepare(attempt)

    def next_step(self, body: bytes, *, stream: bool) -> Step | None:
        prediction = prediction_in(body)
        status, stop = address_in(prediction, "get"), address_in(prediction, "cancel")
        if stream:
            address = address_in(prediction, "stream")
            if not address:
                raise broken_reply("The provider named no stream.")
            return Step(address, status=status, stop=stop)
        if not is_under_way(prediction):
            return None
        if not status:
            raise broken_reply("The provider did not say where the prediction is.")
        return Step(status, delay_s=_POLL_S, stop=stop)

    def decoder(self, attempt: Attempt, prepared: Prepared) -> PredictionStreamDecoder:
        return PredictionStreamDecoder(attempt, prepared)

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        return whole(attempt, prepared, body)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        return failure_of_answer(status, headers, body, now_s)
