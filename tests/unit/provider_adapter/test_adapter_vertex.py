from typing import Any

import orjson
import pytest

from services.provider_adapter.access import find_access
from services.provider_adapter.credentials.table import authorizers
from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import CHAT, Prepared
from services.provider_adapter.protocols.table import protocols
from services.provider_adapter.protocols.vertex.protocol import VertexClaude, VertexGemini
from services.provider_adapter.registry import Registry
from services.provider_adapter.settings import Settings
from tests.testkit.provider_conformance import attempt
from tests.testkit.provider_wires import VertexClaudeWire, VertexGeminiWire

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
LOOP = [
    {"role": "user", "content": "go"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "done"},
]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]


def gemini(messages: Any, **fields: Any) -> Prepared:
    stream = fields.pop("stream", True)
    body = orjson.dumps({"messages": messages, **fields})
    return VertexGemini().prepare(attempt(VertexGeminiWire(), body=body, stream=stream), "")


def claude(messages: Any, **fields: Any) -> Prepared:
    stream = fields.pop("stream", True)
    body = orjson.dumps({"messages": messages, **fields})
    return VertexClaude().prepare(attempt(VertexClaudeWire(), body=body, stream=stream), "")


def test_gemini_is_at_its_publishers_path() -> None:
    models = "/publishers/google/models/gemini-2.5-flash"
    assert gemini(LOOP).path == f"{models}:streamGenerateContent?alt=sse"
    assert gemini(LOOP, stream=False).path == f"{models}:generateContent"


def test_the_cloud_knows_no_ids_of_calls() -> None:
    contents = orjson.loads(gemini(LOOP, tools=TOOLS).body)["contents"]

    assert contents[1]["parts"] == [{"functionCall": {"name": "f", "args": {}}}]
    assert contents[2]["parts"] == [{"functionResponse": {"name": "f", "response": {"output": "done"}}}]


def test_the_cloud_takes_files_of_its_storage_and_none_of_the_files_api() -> None:
    def file(file_id: str) -> Any:
        return [{"role": "user", "content": [{"type": "file", "file": {"file_id": file_id, "filename": "a.pdf"}}]}]

    contents = orjson.loads(gemini(file("gs://bucket/a.pdf")).body)["contents"]
    assert contents[0]["parts"] == [{"fileData": {"mimeType": "application/pdf", "fileUri": "gs://bucket/a.pdf"}}]
    with pytest.raises(ProviderFailedError):
        gemini(file("files/abc"))


def test_claude_is_named_in_the_path_alone() -> None:
    models = "/publishers/anthropic/models/claude-sonnet-4-5@20250929"
    streamed, whole = claude(LOOP), claude(LOOP, stream=False)

    assert (streamed.path, whole.path) == (f"{models}:streamRawPredict", f"{models}:rawPredict")
    assert orjson.loads(whole.body) == {
        "anthropic_version": "vertex-2023-10-16",
        "max_tokens": 64000,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "go"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "done"}]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "none"},
    }
    assert orjson.loads(streamed.body)["stream"] is True


def test_what_the_makers_own_host_alone_knows_is_left_out() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    made = claude(
        [{"role": "user", "content": "hi"}],
        service_tier="auto",
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    )
    body = orjson.loads(made.body)

    assert not {"service_tier", "output_config", "model"} & body.keys()
    assert made.answer_tool == body["tool_choice"]["name"] == "json"


@pytest.mark.parametrize("protocol", [VertexGemini(), VertexClaude()])
def test_a_key_and_a_token_are_sent_as_what_they_are(protocol: VertexGemini | VertexClaude) -> None:
    assert protocol.headers("AIzaKey") == {"x-goog-api-key": "AIzaKey"}
    assert protocol.headers("AQ.key") == {"x-goog-api-key": "AQ.key"}
    assert protocol.headers("ya29.token") == {"Authorization": "Bearer ya29.token"}
    assert protocol.headers("") == {}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, [{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}], FailureClass.RATE_LIMITED),
        (403, {"error": {"code": 403, "message": "m", "status": "PERMISSION_DENIED"}}, FailureClass.PERMISSION),
        (401, {"error": {"code": 401, "message": "m", "status": "UNAUTHENTICATED"}}, FailureClass.AUTHENTICATION),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, FailureClass.OVERLOADED),
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"}}, FailureClass.CONTEXT_LENGTH_EXCEEDED),
        (500, "<html>", FailureClass.UPSTREAM),
    ],
)  # fmt: skip
def test_both_the_cloud_and_the_maker_are_understood(status: int, body: Any, expected: FailureClass) -> None:
    failure = VertexClaude().failure(status, {}, orjson.dumps(body), 0)

    assert failure.failure_class is expected


KEY = orjson.dumps({"type": "service_account", "project_id": "from-key", "private_key": "secret"}).decode()
TOKEN = {"google-vertex": "ya29.token", "google-vertex-anthropic": "ya29.token"}


def found(environ: dict[str, str], **settings: Any) -> dict[str, str]:
    """Base URLs by door, of the two providers."""
    access = find_access(Settings.model_validate(settings), environ)
    registry = Registry(protocols(), access.hosts, access.credentials, authorizers=authorizers())
    doors = {"vertex": "google-vertex", "vertex-anthropic": "google-vertex-anthropic", "openai": "google-vertex"}
    urls = {}
    for protocol, slug in doors.items():
        if slug in access.credentials:
            urls[protocol] = registry.find(slug, CHAT, protocol).base_url
    return urls


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("", "aiplatform.googleapis.com/v1/projects/p/locations/global"),
        ("global", "aiplatform.googleapis.com/v1/projects/p/locations/global"),
        ("us-east5", "us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5"),
        ("eu", "aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu"),
    ],
)
def test_the_location_is_in_the_host_unless_it_is_the_globe(location: str, host: str) -> None:
    environ = {"GOOGLE_VERTEX_PROJECT": "p", "GOOGLE_VERTEX_LOCATION": location}

    assert found(environ, credentials=TOKEN) == {
        "vertex": f"https://{host}",
        "vertex-anthropic": f"https://{host}",
        "openai": f"https://{host}/endpoints/openapi",
    }


def test_a_file_with_a_key_is_enough_and_its_project_holds_where_none_is_named(tmp_path: Any) -> None:
    path = tmp_path / "key.json"
    path.write_text(KEY)
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}

    assert "/projects/from-key/" in found(environ)["vertex"]
    assert "/projects/named/" in found({**environ, "GOOGLE_CLOUD_PROJECT": "named"})["vertex-anthropic"]
    assert found({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json")}) == {}
    assert found({}, credentials=TOKEN) == {}


def test_an_express_key_needs_no_project() -> None:
    assert found({"GOOGLE_VERTEX_API_KEY": "AIzaKey"}) == {
        "vertex": "https://aiplatform.googleapis.com/v1",
        "openai": "https://aiplatform.googleapis.com/v1",
    }


@pytest.mark.parametrize("end", ["", "/publishers/google", "/publishers/anthropic/models"])
def test_an_address_may_end_before_or_after_the_publisher(end: str) -> None:
    place = "http://127.0.0.1:1/v1/projects/p/locations/l"

    urls = found({}, base_urls={"google-vertex": place + end, "google-vertex-anthropic": place + end})

    assert urls["vertex"] == urls["vertex-anthropic"] == place


def test_a_key_never_is_a_header(tmp_path: Any) -> None:
    access = find_access(Settings.model_validate({"credentials": {"google-vertex": KEY}}), {})
    registry = Registry(protocols(), access.hosts, access.credentials, authorizers=authorizers())

    for protocol in ("vertex", "vertex-anthropic", "openai"):
        upstream = registry.find("google-vertex", CHAT, protocol)
        assert upstream.authorizer is not None
        assert "secret" not in repr(list(upstream.headers.items()))
