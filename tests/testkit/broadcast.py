"""A destination that answers from a script, and ways to look into payloads."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from libs.clock import SystemClock
from libs.metrics import Metrics
from libs.retry import Backoff
from services.broadcast.handlers import BroadcastHandlers, Patience
from services.broadcast.ports import Answer, Destination, DestinationUnreachableError

QUICK = Patience(
    request_timeout_s=5.0,
    attempts=3,
    backoff=Backoff(first_s=0.001, cap_s=0.001),
    max_delay_s=0.01,
    give_up_after_s=10.0,
)


class ScriptedDestination:
    """Implements `ports.Destination`: answers in order, the last one for ever; a text is a failure to connect.

    Args:
        poison: ids of generations whose payloads are answered with 400, whatever the script says.
    """

    def __init__(self, script: Iterable[Answer | str] = (Answer(200),), poison: Iterable[str] = ()) -> None:
        self._script = list(script)
        self._poison = set(poison)
        self.payloads: list[Mapping[str, Any]] = []
        self.traceparents: list[str] = []
        self.delivered: list[str] = []

    async def send(self, payload: Mapping[str, Any], *, traceparent: str, timeout_s: float) -> Answer:
        self.payloads.append(copy.deepcopy(payload))
        self.traceparents.append(traceparent)
        ids = generation_ids(payload)
        if self._poison & set(ids):
            return Answer(400)
        answer = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(answer, str):
            raise DestinationUnreachableError(answer)
        if 200 <= answer.status < 300:
            self.delivered += ids
        return answer


def handlers_for(
    destination: Destination, patience: Patience = QUICK, metrics: Metrics | None = None
) -> BroadcastHandlers:
    return BroadcastHandlers(
        destination, patience, service_name="switchyard", clock=SystemClock(), metrics=metrics or Metrics()
    )


def spans_in(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    [resource] = payload["resourceSpans"]
    [scope] = resource["scopeSpans"]
    spans: list[dict[str, Any]] = scope["spans"]
    return spans


def attributes_of(span: Mapping[str, Any]) -> dict[str, Any]:
    """Attribute values by key, without their type."""
    found = {}
    for attribute in span["attributes"]:
        [value] = attribute["value"].values()
        assert attribute["key"] not in found
        found[attribute["key"]] = value
    return found


def generation_ids(payload: Mapping[str, Any]) -> list[str]:
    return [attributes_of(span)["gen_ai.response.id"] for span in spans_in(payload) if span["attributes"]]
