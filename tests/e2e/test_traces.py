"""One request is one trace: HTTP, calls between services, the provider's call, and every consumer's work."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.testkit.api import MODEL, Api, eventually
from tests.testkit.receivers import Spans, Webhook, serving
from tests.testkit.shapes import Shape, running_beside

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CANARY_PROMPT = "canary-prompt-9f8e7d6c"
CANARY_ANSWER = "canary-answer-5b4a3c2d"


@pytest.fixture(params=["standalone", "distributed"])
async def watched(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Shape, Spans, Webhook]]:
    """A shape that sends spans to a receiver and traces to a webhook of ours."""
    spans, webhook = Spans(), Webhook()
    async with serving({"POST /v1/traces": spans.receive, "POST /hook": webhook.receive}) as base:
        names = {
            "SWITCHYARD_TELEMETRY__OTLP_ENDPOINT": base,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "SWITCHYARD_BROADCAST_WEBHOOK__URL": f"{base}/hook",
        }
        async with running_beside(request.param, **names) as shape:
            yield shape, spans, webhook


@pytest.mark.timeout(180)
async def test_a_request_is_one_trace_and_leaks_nothing(watched: tuple[Shape, Spans, Webhook]) -> None:
    shape, spans, webhook = watched
    async with Api(shape.api_base, shape.api_key, shape.management_key) as api:
        headers = {"traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01", "Authorization": f"Bearer {shape.api_key}"}
        body: dict[str, Any] = {
            "model": MODEL,
            "messages": [{"role": "user", "content": f"{CANARY_PROMPT} [[sim words={CANARY_ANSWER}]]"}],
            "user": "somebody",
        }
        async with api.session.post(f"{api.base}/chat/completions", json=body, headers=headers) as reply:
            answer = await reply.json()
        assert answer["choices"][0]["message"]["content"] == CANARY_ANSWER

    wanted = {"POST /api/v1/chat/completions", "provider call", "billing_ledger settle", "analytics record"}

    async def complete() -> bool:
        names = {span.name for _, span in spans.of_trace(TRACE_ID)}
        return wanted <= names and any("Plan" in name for name in names) and bool(webhook.bodies)

    await eventually(complete, within_s=40)
    _check_webhook(webhook, answer["id"])
    ids = {span.span_id for _, span in spans.of_trace(TRACE_ID)} | {bytes.fromhex("00f067aa0ba902b7")}
    orphans = [span.name for _, span in spans.of_trace(TRACE_ID) if span.parent_span_id not in ids]
    assert not orphans
    shape.stop()
    _check_nothing_leaked(shape, str(spans.found) + str(webhook.bodies))


def _check_webhook(webhook: Webhook, generation_id: str) -> None:
    found = [
        span
        for body in webhook.bodies
        for resource in body["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert TRACE_ID in {span["traceId"] for span in found}
    assert generation_id in str(found)


def _check_nothing_leaked(shape: Shape, sent: str) -> None:
    """Neither prompt nor answer nor the plaintext key is in any file (tables, logs, spool, event log) or span."""
    key = json.loads((shape.data_dir / "bootstrap-keys.json").read_text())["api_key"]
    for canary in (CANARY_PROMPT, CANARY_ANSWER, key):
        assert canary not in sent
        leaks = [
            str(path.relative_to(shape.data_dir))
            for path in shape.data_dir.rglob("*")
            if path.is_file() and path.name != "bootstrap-keys.json" and canary.encode() in path.read_bytes()
        ]
        # The announcement on standard output, which the test keeps as a log, shows the key to its owner.
        allowed = {f"{shape.kind}.log"} if canary == key else set()
        assert set(leaks) <= allowed, f"{canary} leaked into {leaks}"
