"""What Oracle's service refuses, the simulator refuses, too; its requests here have the bytes of Oracle's own SDK."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from services.provider_simulator.main import RunningSimulator

KEY_ID = "ocid1.tenancy.oc1..t/ocid1.user.oc1..u/20:3b:97"
WORDS = "date (request-target) host content-length content-type x-content-sha256"
SIGNED = {"x-content-sha256": "AVq9f1zFei3ZS3WQ8ErYCEJzkF7jPsXOvq5iJ2qX+GI="}


def signature(**changes: str) -> dict[str, str]:
    """The parameters in the order of Oracle's SDK."""
    told = {
        "algorithm": "rsa-sha256",
        "headers": WORDS,
        "keyId": KEY_ID,
        "signature": "YQ==",
        "version": "1",
        **changes,
    }
    return {**SIGNED, "Authorization": "Signature " + ",".join(f'{name}="{value}"' for name, value in told.items())}


class Client:
    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._url = f"{base_url}/20231130/actions/chat"

    async def ask(self, model: str, headers: dict[str, str], **asked: Any) -> tuple[int, Any]:
        serving = {"servingType": "ON_DEMAND", "modelId": model}
        body = {"compartmentId": "ocid1.compartment.oc1..c", "servingMode": serving, "chatRequest": asked}
        async with self._session.post(self._url, json=body, headers=headers) as response:
            return response.status, await response.json()


@pytest.fixture
async def client(simulator: RunningSimulator) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, simulator.base_url)


def said(text: str) -> dict[str, Any]:
    return {"role": "USER", "content": [{"type": "TEXT", "text": text}]}


async def test_a_signature_is_read_in_any_order(client: Client) -> None:
    asked = {"apiFormat": "GENERIC", "messages": [said("[[sim words=yes]]")]}

    status, reply = await client.ask("google.gemini-2.5-pro", signature(), **asked)

    assert status == 200, reply
    (choice,) = reply["chatResponse"]["choices"]
    assert choice["message"]["content"] == [{"type": "TEXT", "text": "yes"}]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic YQ=="},
        {"Authorization": "Bearer "},
        signature(version="2"),
        signature(algorithm="hmac"),
        signature(headers="date host"),
        signature(keyId="user"),
        signature(signature=""),
        {"Authorization": signature()["Authorization"]},
    ],
)
async def test_a_proof_that_is_none_is_refused(client: Client, headers: dict[str, str]) -> None:
    status, reply = await client.ask("x", headers, apiFormat="GENERIC", messages=[said("hi")])

    assert (status, reply["code"]) == (401, "NotAuthenticated")


@pytest.mark.parametrize(
    ("model", "asked", "words"),
    [
        ("cohere.command-a-vision", {"apiFormat": "COHERE", "message": "hi"}, "does not match serving model"),
        ("cohere.command-r-08-2024", {"apiFormat": "GENERIC", "messages": [said("hi")]}, "does not match"),
        ("openai.gpt-5", {"apiFormat": "COHERE", "message": "hi"}, "does not match"),
        ("openai.gpt-5", {"apiFormat": "GENERIC", "messages": [said("hi")], "max_tokens": 5}, "max_tokens"),
        ("openai.gpt-5", {"apiFormat": "GENERIC", "messages": [{"role": "USER", "content": "hi"}]}, "content"),
        ("cohere.command-r-08-2024", {"apiFormat": "COHERE", "message": " "}, "message"),
        (
            "cohere.command-r-08-2024",
            {
                "apiFormat": "COHERE",
                "message": "hi",
                "toolResults": [{"call": {"name": "f", "parameters": {}}, "outputs": [{"a": 1}]}],
            },
            "isForceSingleStep",
        ),
        (
            "openai.gpt-5",
            {
                "apiFormat": "GENERIC",
                "messages": [said("hi"), {"role": "TOOL", "toolCallId": "c", "content": [{"type": "TEXT", "text": "1"}]}],
            },
            "answers no call",
        ),
    ],
)  # fmt: skip
async def test_what_the_service_would_refuse_is_refused(
    client: Client, model: str, asked: dict[str, Any], words: str
) -> None:
    status, reply = await client.ask(model, signature(), **asked)

    assert (status, reply["code"]) == (400, "InvalidParameter")
    assert words in reply["message"]
