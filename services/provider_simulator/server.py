"""The simulator's HTTP server: every protocol's routes, the statistics and the health check.

Owns routes and the listening socket. Does not know wire formats. Invariant: handlers are cancelled when the caller goes
away, for that is how the statistics learn of it.
"""

from dataclasses import dataclass

import orjson
from aiohttp import web

from libs.clock import Clock, SystemClock
from services.provider_simulator.core.catalogue import Catalogue, CatalogueError, parse_catalogue
from services.provider_simulator.core.statistics import Statistics
from services.provider_simulator.protocols.anthropic.messages_format import MessagesFormat
from services.provider_simulator.protocols.anthropic.messages_format import routes as messages_routes
from services.provider_simulator.protocols.bedrock.converse_format import ConverseFormat
from services.provider_simulator.protocols.bedrock.converse_format import routes as converse_routes
from services.provider_simulator.protocols.bedrock.invoke_format import InvokeFormat
from services.provider_simulator.protocols.bedrock.invoke_format import routes as invoke_routes
from services.provider_simulator.protocols.cohere.chat_format import ChatFormat
from services.provider_simulator.protocols.cohere.chat_format import routes as cohere_chat_routes
from services.provider_simulator.protocols.cohere.embed_format import EmbedFormat
from services.provider_simulator.protocols.cohere.embed_format import routes as cohere_embed_routes
from services.provider_simulator.protocols.cohere.rerank_format import RerankFormat as CohereRerankFormat
from services.provider_simulator.protocols.cohere.rerank_format import routes as cohere_rerank_routes
from services.provider_simulator.protocols.gemini.content_format import ContentFormat
from services.provider_simulator.protocols.gemini.content_format import routes as content_routes
from services.provider_simulator.protocols.gemini.embed_format import EmbedFormat as GeminiEmbedFormat
from services.provider_simulator.protocols.gemini.embed_format import routes as gemini_embed_routes
from services.provider_simulator.protocols.gigachat import embed_format as gigachat_embeddings
from services.provider_simulator.protocols.gigachat.chat_format import ChatFormat as GigaChatFormat
from services.provider_simulator.protocols.gigachat.chat_format import routes as gigachat_routes
from services.provider_simulator.protocols.gigachat.embed_format import EmbedFormat as GigaChatEmbedFormat
from services.provider_simulator.protocols.native import NativeFormat, NativeServer
from services.provider_simulator.protocols.oci.chat_format import ChatFormat as OciFormat
from services.provider_simulator.protocols.oci.chat_format import routes as oci_routes
from services.provider_simulator.protocols.oci.embed_format import EmbedFormat as OciEmbedFormat
from services.provider_simulator.protocols.openai import completions_format, embeddings_format, rerank_format
from services.provider_simulator.protocols.openai.chat_server import ChatLimits, ChatServer
from services.provider_simulator.protocols.openai.completions_format import CompletionsFormat
from services.provider_simulator.protocols.openai.embeddings_format import EmbeddingsFormat
from services.provider_simulator.protocols.openai.errors import RefusedError, error_headers, refusal_body
from services.provider_simulator.protocols.openai.operations import routes
from services.provider_simulator.protocols.openai.rerank_format import RerankFormat
from services.provider_simulator.protocols.openai_responses.responses_format import ResponsesFormat
from services.provider_simulator.protocols.openai_responses.responses_format import routes as responses_routes
from services.provider_simulator.protocols.replicate.prediction_format import PredictionFormat
from services.provider_simulator.protocols.replicate.prediction_reply import Prediction
from services.provider_simulator.protocols.replicate.prediction_server import PredictionServer
from services.provider_simulator.protocols.vertex.predict_format import PredictFormat
from services.provider_simulator.protocols.vertex.predict_format import routes as predict_routes
from services.provider_simulator.protocols.vertex.publisher_formats import VertexContentFormat, VertexMessagesFormat
from services.provider_simulator.protocols.vertex.publisher_formats import routes as vertex_routes
from services.provider_simulator.protocols.watsonx.chat_format import ChatFormat as WatsonxFormat
from services.provider_simulator.protocols.watsonx.chat_format import routes as watsonx_routes
from services.provider_simulator.settings import ProviderSimulatorSettings
from services.provider_simulator.text_counter import TextCounter

_SHUTDOWN_S = 0.5
_BACKLOG = 1024


def build(settings: ProviderSimulatorSettings, clock: Clock | None = None) -> web.Application:
    """The application; run it with `handler_cancellation=True`, or let `start` do so.

    Raises:
        CatalogueError: the catalogue file cannot be read or has the wrong shape.
    """
    statistics = Statistics()
    limits = ChatLimits(settings.require_bearer, settings.refuse_unknown_parameters, settings.request_limit_s)
    catalogue, counter = _read_catalogue(settings), TextCounter()
    clock = clock or SystemClock()
    strict = settings.refuse_unknown_parameters
    chat = ChatServer(catalogue, statistics, counter, limits, clock)

    def native(wire: NativeFormat) -> NativeServer:
        return NativeServer(
            wire,
            catalogue,
            statistics,
            counter,
            require_key=settings.require_bearer,
            request_limit_s=settings.request_limit_s,
        )

    async def stats(_: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(statistics.as_document()), content_type="application/json")

    app = web.Application(client_max_size=settings.max_body_bytes)
    app.add_routes([web.get("/sim/stats", stats), web.get("/healthz", _healthz)])
    app.add_routes(chat.routes())
    app.add_routes(routes(native(CompletionsFormat(clock, refuse_unknown=strict)), completions_format.PATH))
    app.add_routes(routes(native(EmbeddingsFormat(refuse_unknown=strict)), embeddings_format.PATH))
    app.add_routes(routes(native(RerankFormat(refuse_unknown=strict)), rerank_format.PATH))
    app.add_routes(messages_routes(native(MessagesFormat())))
    app.add_routes(content_routes(native(ContentFormat())))
    app.add_routes(converse_routes(native(ConverseFormat())))
    app.add_routes(invoke_routes(native(InvokeFormat())))
    app.add_routes(gemini_embed_routes(native(GeminiEmbedFormat())))
    app.add_routes(cohere_chat_routes(native(ChatFormat())))
    app.add_routes(cohere_embed_routes(native(EmbedFormat())))
    app.add_routes(responses_routes(native(ResponsesFormat())))
    app.add_routes(predict_routes(native(PredictFormat())))
    app.add_routes(vertex_routes(native(VertexContentFormat()), native(VertexMessagesFormat())))
    app.add_routes(cohere_rerank_routes(native(CohereRerankFormat())))
    app.add_routes(gigachat_routes(native(GigaChatFormat())))
    app.add_routes(gigachat_routes(native(GigaChatEmbedFormat()), gigachat_embeddings.PATH))
    app.add_routes(watsonx_routes(native(WatsonxFormat())))
    app.add_routes(oci_routes(native(OciFormat())))
    app.add_routes(oci_routes(native(OciEmbedFormat()), "embedText"))
    kept: dict[str, Prediction] = {}
    app.add_routes(PredictionServer(native(PredictionFormat(kept)), kept).routes())
    app.router.add_route("*", "/{path:.*}", _no_route)
    return app


@dataclass(frozen=True, slots=True)
class RunningSimulator:
    """A simulator that listens.

    Attributes:
        base_url: `http://host:port`; a provider's OpenAI base URL is `{base_url}/{provider slug}/v1`.
    """

    base_url: str
    _runner: web.AppRunner

    async def stop(self) -> None:
        """Stops listening and cuts what is still being answered."""
        await self._runner.cleanup()


async def start(settings: ProviderSimulatorSettings) -> RunningSimulator:
    """Listens on the loop that is running.

    Raises:
        CatalogueError: as for `build`.
        OSError: the address is taken or not ours.
    """
    app = build(settings)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=_BACKLOG).start()
    except BaseException:
        await runner.cleanup()
        raise
    host, port = runner.addresses[0][:2]
    return RunningSimulator(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}", runner)


def _read_catalogue(settings: ProviderSimulatorSettings) -> Catalogue:
    try:
        document = orjson.loads(settings.catalogue.read_bytes())
    except OSError as error:
        raise CatalogueError(f"{settings.catalogue}: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise CatalogueError(f"{settings.catalogue}: {error}") from None
    return parse_catalogue(document)


async def _healthz(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok", "service": "provider_simulator"})


async def _no_route(request: web.Request) -> web.Response:
    refused = RefusedError(f"Invalid URL ({request.method} {request.path[:200]})", status=404, code="unknown_url")
    return web.Response(body=refusal_body(refused), status=404, headers=error_headers(404))
