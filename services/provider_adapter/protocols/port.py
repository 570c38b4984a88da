"""The contract of a wire format: what every protocol folder offers to the one I/O layer.

Owns the shapes that cross it. Knows neither HTTP clients nor gRPC. Invariant: implementations are pure; "now", limits
and sockets belong to the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, runtime_checkable

from services.provider_adapter.protocols.attachments import Attachment
from services.provider_adapter.protocols.failures import Failure

CHAT = "chat"
COMPLETIONS = "completions"
EMBEDDINGS = "embeddings"
RERANK = "rerank"
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as the contract describes it (`GenerateRequest`), free of protobuf.

    Attributes:
        model: the public slug, as the reply names it.
        body: the caller's request as JSON in the chat dialect.
        max_tokens: replaces the caller's limit when set.
        unsupported_parameters: left out of the provider's request.
        user_hash: sent in the stead of the caller's `user`; empty: none is sent.
        operation: what is asked; `body` is in the dialect of that route (reference api-facts §3).
        service_tier: flex or priority, where the endpoint is of that tier.
        anthropic_beta: flags of betas, separated by commas, as the caller wrote them.
        system_fingerprint: of the reply, where the format has none.
        account: what the host wants to be told beside the credential; formats whose bodies name a project read it.
    """

    generation_id: str
    provider_name: str
    provider_model_id: str
    model: str
    created_s: int
    stream: bool
    body: bytes
    max_tokens: int | None = None
    unsupported_parameters: tuple[str, ...] = ()
    user_hash: str = ""
    operation: str = CHAT
    service_tier: str = ""
    anthropic_beta: str = ""
    system_fingerprint: str = ""
    account: Mapping[str, str] = field(default_factory=dict)


class MediaNeeds(NamedTuple):
    """Which media a format wants as bytes where the caller gave an address; these are fetched before `prepare`.

    Attributes:
        kinds: of chat's content parts.
        passed_on: beginnings of addresses that the provider reads itself.
        image_types: what the provider can see; empty: whatever is an image.
    """

    kinds: frozenset[str] = frozenset()
    passed_on: tuple[str, ...] = ()
    image_types: frozenset[str] = frozenset()

    def wants(self, attachment: Attachment) -> bool:
        url = attachment.url[:64].lower()
        return (
            attachment.kind in self.kinds
            and url.startswith(("http://", "https://"))
            and not url.startswith(self.passed_on)
        )


NO_MEDIA = MediaNeeds()
ALL_MEDIA = frozenset({"image_url", "input_audio", "file", "video_url"})


class Prepared(NamedTuple):
    """A request ready to be sent: `path` is appended to the provider's base URL.

    Attributes:
        answer_tool: the name of a tool whose input is the answer, where a format has no other way to structured output.
        headers: of this request alone, beside those that every request to the host carries.
        asked: what reading the reply takes of the request, in the protocol's own terms.
        tools: those that chat was asked with, as their caller wrote them; the reply's calls are judged by them.
    """

    path: str
    body: bytes
    hide_reasoning: bool = False
    answer_tool: str = ""
    headers: Mapping[str, str] = _NOTHING
    dialect: str = ""
    asked: Any = None
    tools: Any = None


class Usage(NamedTuple):
    """Token counts of one reply; the fields of `switchyard.common.v1.TokenUsage`."""

    prompt_tokens: int
    completion_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    prompt_audio_tokens: int = 0
    completion_audio_tokens: int = 0
    prompt_image_tokens: int = 0
    completion_image_tokens: int = 0
    search_units: int = 0
    cache_write_1h_tokens: int = 0
    web_searches: int = 0


class ReplyFacts:
    """What is known about a reply beside its content; complete when the reply is."""

    __slots__ = (
        "finish_reason",
        "has_content",
        "native_finish_reason",
        "service_tier",
        "system_fingerprint",
        "upstream_id",
        "usage",
    )

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish_reason = ""
        self.native_finish_reason = ""
        self.upstream_id = ""
        self.service_tier = ""
        self.system_fingerprint = ""
        self.has_content = False


class StreamDecoder(Protocol):
    """Turns the bytes of one streamed reply into finished chunks, however the bytes are split."""

    @property
    def facts(self) -> ReplyFacts: ...

    @property
    def begun(self) -> bool:
        """Whether content has been seen; nothing is given out before."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the reply's terminator has been seen; what follows is not read."""
        ...

    @property
    def failure(self) -> Failure | None:
        """Set once the reply turned out broken; what was given out before stays valid."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Takes what arrived; gives finished server-sent events, or nothing yet."""
        ...

    def finish(self) -> bytes:
        """Call once at the end of the bytes or after `ended`; sets `failure` if the reply was cut."""
        ...


class WireProtocol(Protocol):
    """One operation in one wire format, for all hosts that speak it."""

    def headers(self, credential: str) -> Mapping[str, str]:
        """Headers that every request to a host carries."""
        ...

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:
        """The provider's request.

        Raises:
            AppError: the caller's body is not a JSON object.
        """
        ...

    def decoder(self, attempt: Attempt, prepared: Prepared) -> StreamDecoder: ...

    def whole(self, attempt: Attempt, prepared: Prepared, body: bytes) -> tuple[bytes, ReplyFacts]:
        """A reply that did not stream, as one JSON object without `usage`: in the chat dialect for chat and completions,
        in that of their routes for embeddings and rerank (reference api-facts §3.5).

        Raises:
            ProviderFailedError: the body is no reply.
        """
        ...

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> Failure:
        """What an answer means that is no success, or a success whose body is none.

        Args:
            status: of the answer.
            headers: with names in lower case, or a case-insensitive mapping.
            body: its beginning, at least.
            now_s: unix seconds.
        """
        ...


@runtime_checkable
class NeedsBytes(Protocol):
    """A wire format that cannot carry every address says so by having this, too."""

    media: MediaNeeds


def media_needs_of(protocol: WireProtocol) -> MediaNeeds:
    return protocol.media if isinstance(protocol, NeedsBytes) else NO_MEDIA


class Step(NamedTuple):
    """Where a reply goes on that is not the answer to the request.

    Attributes:
        address: asked next, with GET.
        delay_s: to wait before.
        status: where a stream's reply can be looked at once it is over; empty: nowhere.
        stop: where it can be told to stop, with POST; empty: nowhere.
    """

    address: str
    delay_s: float = 0.0
    status: str = ""
    stop: str = ""


@runtime_checkable
class TakesSteps(Protocol):
    """A wire format whose reply is somewhere that the answer to the request names has this, too."""

    domains: tuple[str, ...]
    """Ends of the names of hosts that answers may lead to, beside the host that was asked."""

    def next_step(self, body: bytes, *, stream: bool) -> Step | None:
        """Where the reply to a request with this answer is; None: it is the reply.

        Raises:
            ProviderFailedError: it failed, or says nothing.
        """
        ...


@runtime_checkable
class SettlesLater(Protocol):
    """A decoder that wants a later look at the reply before it finishes has this, too."""

    def settle(self, body: bytes) -> bool:
        """Takes what is said of the reply once its stream is over; False: it has to be looked at again."""
        ...
