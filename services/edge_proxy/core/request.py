"""What every inference request is to the way it takes through the services, whatever its dialect.

Owns that common shape and the names of operations. Does not parse: each dialect has a module for that. Invariant: plan,
hold, metering and record read nothing of a request but what is here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from services.edge_proxy.core.preferences import NO_PREFERENCES, Preferences
from services.edge_proxy.core.router_options import NO_OPTIONS, RouterOptions

CHAT: Final = "chat"
COMPLETIONS: Final = "completions"
EMBEDDINGS: Final = "embeddings"
RERANK: Final = "rerank"

API_TYPES: Final[Mapping[str, str]] = {
    CHAT: "completions",
    COMPLETIONS: "completions",
    EMBEDDINGS: "embeddings",
    RERANK: "rerank",
}
"""The public words of records (reference api-facts §9, `api_type`)."""
_COMPLETING: Final = frozenset({CHAT, COMPLETIONS})


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceRequest:
    """A checked request.

    Attributes:
        body: the caller's JSON, as it came.
        operation: what is asked of an endpoint.
        models: to be tried in this order; at least one.
        max_tokens: the caller's limit per choice, None when there is none; 0 where nothing is completed.
        choices: how many answers are asked for (`n`).
        prompt_tokens: estimate for holds; exact for text under o200k_base (libs/tokens), rough for media parts.
        longest_prompt_tokens: of what has to fit into a context at once; None: all of the prompt has.
        prompt_bytes: what the provider's count of prompt tokens is judged by; None: the length of `body`.
        search_units: searches as providers bill them, estimated; 0: it is no search.
        output_modalities: beyond text.
        conversation: the same for every request of one conversation, as far as its opening tells; empty: it tells nothing.
        router: how a router model is to choose.
        chat_body: the same request in the chat dialect, for endpoints that chat and do not serve its operation.
        echo: what every answer is to begin with.
    """

    body: bytes
    models: tuple[str, ...]
    prompt_tokens: int
    operation: str = CHAT
    stream: bool = False
    max_tokens: int | None = None
    choices: int = 1
    parameters: tuple[str, ...] = ()
    uses_tools: bool = False
    uses_response_format: bool = False
    modalities: tuple[str, ...] = ()
    preferences: Preferences = NO_PREFERENCES
    user: str = ""
    session_id: str = ""
    trace_json: bytes = b""
    longest_prompt_tokens: int | None = None
    prompt_bytes: int | None = None
    search_units: int = 0
    chat_body: bytes = b""
    output_modalities: tuple[str, ...] = ()
    uses_json_schema: bool = False
    service_tier: str = ""
    conversation: bytes = b""
    router: RouterOptions = NO_OPTIONS
    echo: str = ""

    @property
    def context_tokens(self) -> int:
        """What has to fit into a context at once, estimated."""
        return self.prompt_tokens if self.longest_prompt_tokens is None else self.longest_prompt_tokens

    def put_to(self, serves: Collection[str]) -> tuple[str, bytes]:
        """The operation to ask an endpoint for, and the body in its dialect.

        Args:
            serves: what the endpoint can be asked for; empty: chat.
        """
        if self.chat_body and self.operation not in serves:
            return CHAT, self.chat_body
        return self.operation, self.body

    @property
    def text_only(self) -> bool:
        return not self.modalities

    @property
    def completes(self) -> bool:
        """Whether it asks for text: an answer without any is then no answer."""
        return self.operation in _COMPLETING
