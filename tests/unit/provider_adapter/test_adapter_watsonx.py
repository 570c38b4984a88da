from typing import Any

import orjson
import pytest

from libs.settings import load
from services.provider_adapter.access import find_access
from services.provider_adapter.main import build_registry
from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import Prepared
from services.provider_adapter.protocols.watsonx.protocol import WatsonxChat
from services.provider_adapter.settings import Settings
from tests.testkit.provider_conformance import Decoded, attempt
from tests.testkit.provider_wires_watsonx import WatsonxWire

WIRE = WatsonxWire()
KEYS = {"WATSONX_API_KEY": "k-1", "WATSONX_PROJECT_ID": "p-1"}
STRICT = {
    "type": "function",
    "function": {
        "name": "f",
        "strict": True,
        "parameters": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"strict": {"type": "object", "additionalProperties": False, "enum": [{"strict": 1}]}},
        },
    },
}


def prepared(*, stream: bool = True, model: str = WIRE.model, **fields: Any) -> Prepared:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    asked = attempt(
        WIRE, body=orjson.dumps(body), stream=stream, provider_model_id=model, account={"project_id": "p-1"}
    )
    return WatsonxChat().prepare(asked, "watsonx")


def sent(**fields: Any) -> dict[str, Any]:
    value = orjson.loads(prepared(**fields).body)
    assert isinstance(value, dict)
    return value


def test_a_request_names_the_model_and_the_project_and_its_path_says_whether_it_streams() -> None:
    user = {"role": "user", "content": "hi"}

    assert sent() == {"model_id": WIRE.model, "project_id": "p-1", "messages": [user]}
    assert prepared().path == "/ml/v1/text/chat_stream?version=2025-04-23"
    assert prepared(stream=False).path == "/ml/v1/text/chat?version=2025-04-23"


def test_a_deployment_has_a_path_of_its_own_and_says_itself_what_it_belongs_to() -> None:
    made = prepared(model="deployment/../x?y")

    assert made.path.startswith("/ml/v1/deployments/..%2Fx%3Fy/text/chat_stream?")
    assert orjson.loads(made.body) == {"messages": [{"role": "user", "content": "hi"}]}


def test_parameters_of_other_hosts_are_left_out() -> None:
    body = sent(
        max_tokens=9, temperature=0.5, parallel_tool_calls=True, service_tier="flex", top_k=3, user="ann", vendor=1,
        stream_options={"include_usage": True}, reasoning={"effort": "minimal"}, tools=[STRICT],
    )  # fmt: skip

    assert body.keys() == {
        "model_id", "project_id", "messages", "max_completion_tokens", "temperature", "reasoning_effort", "tools"
    }  # fmt: skip
    assert (body["max_completion_tokens"], body["reasoning_effort"]) == (9, "low")


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_choices_of_tools_in_a_word_have_a_field_of_their_own(choice: str) -> None:
    body = sent(tools=[STRICT], tool_choice=choice)

    assert body["tool_choice_option"] == choice
    assert "tool_choice" not in body


def test_a_choice_of_one_tool_is_as_in_chat() -> None:
    named = {"type": "function", "function": {"name": "f"}}

    assert sent(tools=[STRICT], tool_choice=named)["tool_choice"] == named


def test_tools_are_sent_without_what_makes_them_strict() -> None:
    assert sent(tools=[STRICT])["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "f",
                "parameters": {
                    "type": "object",
                    "properties": {"strict": {"type": "object", "enum": [{"strict": 1}]}},
                },
            },
        }
    ]


def test_a_file_may_be_tried_elsewhere() -> None:
    part = {"type": "file", "file": {"file_data": "data:text/plain;base64,aGk="}}
    with pytest.raises(ProviderFailedError) as caught:
        prepared(messages=[{"role": "user", "content": [part]}])

    assert caught.value.failure.elsewhere is True


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "token_quota_reached", FailureClass.INSUFFICIENT_CREDITS),
        (403, "no_associated_service_instance_error", FailureClass.PERMISSION),
        (404, "model_not_supported", FailureClass.NOT_FOUND),
        (400, "authentication_token_expired", FailureClass.AUTHENTICATION),
    ],
)
def test_the_providers_own_codes(status: int, code: str, expected: FailureClass) -> None:
    body = orjson.dumps({"errors": [{"code": code, "message": "x"}], "status_code": status})

    assert WIRE.protocol.failure(status, {}, body, 0).failure_class is expected


def test_a_stream_as_granite_calls_tools() -> None:
    """Names come again as empty texts, the last piece of a call with the finish reason, usage after it."""
    about = '"id":"c-1","object":"chat.completion.chunk","model_id":"ibm/granite-3-3-8b-instruct"'
    deltas = [
        ('{"role":"assistant","content":""}', "null"),
        ('{"content":""}', "null"),
        ('{"tool_calls":[{"index":0,"id":"t0","type":"function","function":{"name":"sum","arguments":""}}]}', "null"),
        ('{"tool_calls":[{"index":0,"function":{"name":"","arguments":"{\\"a\\": 2}"}}]}', "null"),
        ('{"tool_calls":[{"index":1,"id":"t1","type":"function","function":{"name":"sub","arguments":""}}]}', "null"),
        ('{"tool_calls":[{"index":1,"function":{"name":"","arguments":"{\\"b\\": 1}"}}]}', '"tool_calls"'),
    ]
    events = [f'{{{about},"choices":[{{"index":0,"finish_reason":{end},"delta":{delta}}}]}}' for delta, end in deltas]
    events.append(f'{{{about},"choices":[],"usage":{{"completion_tokens":49,"prompt_tokens":319,"total_tokens":368}}}}')
    raw = "".join(f"id: {n}\nevent: message\ndata: {event}\n\n" for n, event in enumerate(events, 1)).encode()

    decoded = Decoded(WIRE, raw)

    assert decoded.failure is None
    assert [(one["id"], one["name"], one["arguments"]) for one in decoded.calls] == [
        ("t0", "sum", '{"a": 2}'),
        ("t1", "sub", '{"b": 1}'),
    ]
    usage = decoded.facts.usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, decoded.facts.finish_reason) == (319, 49, "tool_calls")


@pytest.mark.parametrize(
    ("environ", "account"),
    [
        (KEYS, {"project_id": "p-1"}),
        ({"WATSONX_API_KEY": "k", "WATSONX_SPACE_ID": "s-1"}, {"space_id": "s-1"}),
        ({**KEYS, "WATSONX_SPACE_ID": "s-1"}, {"project_id": "p-1"}),
    ],
)
def test_the_account_is_a_project_or_else_a_space(environ: dict[str, str], account: dict[str, str]) -> None:
    settings = load(Settings, {})
    found = build_registry(settings, find_access(settings, environ)).find("watsonx")

    assert found.account == account
    assert found.base_url == "https://us-south.ml.cloud.ibm.com"


def test_a_key_without_a_project_is_left_out_and_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    access = find_access(load(Settings, {}), {"WATSONX_API_KEY": "k"})

    assert "watsonx" not in access.credentials
    assert [record.__dict__["data"]["variable"] for record in caplog.records] == ["WATSONX_PROJECT_ID"]


def test_a_host_that_was_moved_may_know_the_project_itself() -> None:
    settings = load(Settings, {"base_urls": {"watsonx": "http://127.0.0.1:9/ml/v1"}})
    access = find_access(settings, {"WATSONX_API_KEY": "k"})
    found = build_registry(settings, access).find("watsonx")

    assert found.account == {}
    assert found.url("/ml/v1/text/chat?version=x") == "http://127.0.0.1:9/ml/v1/text/chat?version=x"


def test_the_region_is_the_one_of_the_address() -> None:
    settings = load(Settings, {})
    environ = {**KEYS, "WATSONX_URL": "https://eu-de.ml.cloud.ibm.com/"}

    assert build_registry(settings, find_access(settings, environ)).find("watsonx").base_url == (
        "https://eu-de.ml.cloud.ibm.com"
    )
