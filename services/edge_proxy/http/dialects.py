"""What differs between inference routes: how a request is read, and how what comes back is written.

Owns that difference. Does not own HTTP. Invariant: inside, replies and events are in the chat dialect wherever text is
asked for; another dialect is put on at the very end, and chat's own way stays as short as it was.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from libs.tokens import TokenCounter
from services.edge_proxy.core.chat_request import parse_chat_request
from services.edge_proxy.core.completions_request import parse_completions_request
from services.edge_proxy.core.embeddings_request import parse_embeddings_request
from services.edge_proxy.core.request import InferenceRequest
from services.edge_proxy.core.rerank_request import parse_rerank_request
from services.edge_proxy.core.text_completion import CompletionEvents, whole_completion
from services.edge_proxy.ports import Sink


class Dialect(Protocol):
    def parse(self, body: bytes, counter: TokenCounter) -> InferenceRequest:
        """Raises AppError: 400 that names the field."""
        ...

    def whole(self, request: InferenceRequest, reply: bytes, /) -> bytes:
        """A reply that did not stream, `usage` included."""
        ...

    def sink(self, request: InferenceRequest, sink: Sink, /) -> Sink:
        """Where the events of a stream go."""
        ...


@dataclass(frozen=True, slots=True)
class AsItComes:
    """A dialect whose replies leave as they come from inside."""

    read: Callable[[bytes, TokenCounter], InferenceRequest]

    def parse(self, body: bytes, counter: TokenCounter) -> InferenceRequest:
        return self.read(body, counter)

    def whole(self, _request: InferenceRequest, reply: bytes, /) -> bytes:
        return reply

    def sink(self, _request: InferenceRequest, sink: Sink, /) -> Sink:
        return sink


class TextCompletions:
    """The legacy dialect of prompts."""

    def parse(self, body: bytes, counter: TokenCounter) -> InferenceRequest:
        return parse_completions_request(body, counter)

    def whole(self, request: InferenceRequest, reply: bytes, /) -> bytes:
        return whole_completion(reply, request.echo)

    def sink(self, request: InferenceRequest, sink: Sink, /) -> Sink:
        return _CompletionSink(sink, CompletionEvents(request.echo))


@dataclass(frozen=True, slots=True)
class _CompletionSink:
    sink: Sink
    events: CompletionEvents

    async def write(self, events: bytes) -> None:
        converted = self.events.convert(events)
        if converted:
            await self.sink.write(converted)


DIALECTS: Final[Mapping[str, Dialect]] = {
    "chat/completions": AsItComes(parse_chat_request),
    "completions": TextCompletions(),
    "embeddings": AsItComes(parse_embeddings_request),
    "rerank": AsItComes(parse_rerank_request),
}
"""By the path below the API's base."""
