"""Mixed load as callers make it: streams, whole replies, failures, fallbacks, empty completions, callers who leave.

Owns the mix and what each caller saw. Does not judge the books; `tests.testkit.books` does.
"""

import asyncio
import random
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from tests.testkit.api import MODEL, Api, Json, Reply

KINDS: Final = (
    "plain", "plain", "stream", "stream", "slow stream", "tools", "fallback", "all fail", "breaks", "empty",
    "empty stream", "no usage", "leaves", "cut at once", "length", "embeddings", "rerank", "text", "failing vectors",
)  # fmt: skip
_TOOL: Final = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}},
}
_BESIDE_CHAT: Final = frozenset({"embeddings", "rerank", "text", "failing vectors"})
EMBEDDER: Final = "openai/text-embedding-3-small"
COMPLETER: Final = "ai21/j2-light"
RERANKERS: Final = ("cohere/rerank-v3.5", "cohere/rerank-2.5")
"""By searches, and by tokens."""
REQUEST_LIMIT_S: Final = 45.0


@dataclass
class Seen:
    """What one caller saw; `reply` is None when the connection failed."""

    kind: str
    reply: Reply | None
    left: bool = False
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        return self.reply is not None and self.reply.status == 200 and self.reply.whole and self.reply.error is None


def _plan(kind: str, rng: random.Random) -> tuple[str, dict[str, Any]]:
    """Directive and fields of a request of a kind."""
    either = {"stream": rng.random() < 0.5}
    order = {"order": ["deepinfra", "groq", "novita"]}
    plans: dict[str, tuple[str, dict[str, Any]]] = {
        "plain": (f"tokens={rng.randrange(1, 60)}", {}),
        "stream": (f"tokens={rng.randrange(1, 60)}", {"stream": True}),
        "slow stream": (f"tokens=20 chunk_ms={rng.randrange(1, 40)}", {"stream": True}),
        "tools": ("tools=2", {**either, "tools": [_TOOL]}),
        "fallback": ("fail=503 only=deepinfra", {**either, "provider": order}),
        "all fail": (f"fail={rng.choice((429, 500, 503))}", either),
        "breaks": (f"tokens=20 fail=500 after={rng.randrange(1, 10)}", {"stream": True}),
        "empty": ("empty=1", {}),
        "empty stream": ("empty=1", {"stream": True}),
        "no usage": ("tokens=9 usage=none", either),
        "cut at once": ("cut=0", either),
        "length": ("tokens=50", {"max_tokens": rng.randrange(1, 20)}),
    }
    return plans[kind]


async def _ask_beside_chat(api: Api, kind: str, number: int, rng: random.Random) -> Reply:
    body: Json
    if kind == "rerank":
        documents = [f"document {place}" for place in range(rng.randrange(1, 250))]
        dial = rng.choice(("", "[[sim usage=none]]", "[[sim fail=503]]"))
        body = {"model": rng.choice(RERANKERS), "query": f"Number {number} {dial}", "documents": documents}
        return await api.post(body, path="/rerank")
    if kind == "text":
        prompt = f"Number {number} [[sim tokens={rng.randrange(1, 30)}]]"
        body = {"model": rng.choice((MODEL, COMPLETER)), "prompt": prompt, "stream": rng.random() < 0.5}
        return await api.post(body, path="/completions")
    dials = ("fail=500", "cut=0", "garbage=json") if kind == "failing vectors" else ("", "usage=none", "ttft_ms=20")
    texts = [f"Number {number} text {place}" for place in range(rng.randrange(1, 20))]
    dial = rng.choice(dials)
    body = {"model": EMBEDDER, "input": [*texts, f"[[sim {dial}]]" if dial else "the last"]}
    return await api.post(body, path="/embeddings")


async def ask(api: Api, kind: str, rng: random.Random) -> Reply:
    """One request of a kind; what makes it so travels in the prompt."""
    number = rng.randrange(1_000_000)
    if kind == "leaves":
        return await api.chat_and_leave(
            f"Number {number} [[sim tokens=500 chunk_ms=20]]", after_chunks=rng.randrange(1, 5)
        )
    if kind in _BESIDE_CHAT:
        return await _ask_beside_chat(api, kind, number, rng)
    directive, fields = _plan(kind, rng)
    return await api.chat(f"Number {number} [[sim {directive}]]", **fields)


async def one(api: Api, kind: str, rng: random.Random) -> Seen:
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(REQUEST_LIMIT_S):
            reply: Reply | None = await ask(api, kind, rng)
    except (aiohttp.ClientError, ConnectionError, ValueError):
        reply = None
    return Seen(kind, reply, left=kind == "leaves", seconds=loop.time() - started)


async def run_mix(apis: list[Api], count: int, *, at_once: int, seed: int) -> list[Seen]:
    """`count` requests, `at_once` of them at a time, spread over the given doors."""
    rng = random.Random(seed)
    jobs = iter([(rng.choice(KINDS), apis[index % len(apis)]) for index in range(count)])
    seen: list[Seen] = []

    async def caller() -> None:
        for kind, api in jobs:
            seen.append(await one(api, kind, rng))

    await asyncio.gather(*(caller() for _ in range(at_once)))
    return seen


__all__ = ["KINDS", "MODEL", "Seen", "one", "run_mix"]
