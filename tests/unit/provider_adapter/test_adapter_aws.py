import hashlib
import hmac
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
import pytest

from services.provider_adapter.access import find_access
from services.provider_adapter.credentials.aws import SignatureAuthorizer, aws_authorizer
from services.provider_adapter.main import build_registry
from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError, scrub
from services.provider_adapter.registry import Upstream
from services.provider_adapter.settings import Settings

HOST = "https://bedrock-runtime.eu-central-1.amazonaws.com"
KEY = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
SESSION = {**KEY, "session_token": "IQoJb3JpZ2luX2VjEXAMPLETOKEN=="}


def credential(**fields: str) -> str:
    return orjson.dumps(fields).decode()


async def signed(base_url: str, path: str, body: bytes, **fields: str) -> dict[str, str]:
    authorizer = aws_authorizer(credential(**fields), base_url)
    assert authorizer is not None
    return {name.lower(): value for name, value in (await authorizer.headers("POST", base_url + path, body)).items()}


def expected(url: str, headers: dict[str, str], body: bytes, scope: str) -> str:
    """The signature by the book (reference wire facts §6), not by the library's code."""
    address, date = urlsplit(url), headers["x-amz-date"]
    told = {"host": address.netloc, **{name: value for name, value in headers.items() if name.startswith("x-amz-")}}
    names = ";".join(sorted(told))
    canonical = "\n".join(
        [
            "POST",
            quote(address.path, safe="/~-_."),
            "",
            *(f"{name}:{told[name].strip()}" for name in sorted(told)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    day, region, service, end = scope.split("/")
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + KEY["secret_access_key"].encode()
    for part in (day, region, service, end):
        key = hmac.new(key, part.encode(), "sha256").digest()
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    return f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={names}, Signature={signature}"


@pytest.mark.parametrize("fields", [KEY, SESSION], ids=["key", "session"])
@pytest.mark.parametrize("body", [b"{}", b"a" * 300_000], ids=["small", "large"])
async def test_a_request_is_signed_as_the_book_says(fields: dict[str, str], body: bytes) -> None:
    path = "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"

    headers = await signed(HOST, path, body, **fields)

    scope = f"{headers['x-amz-date'][:8]}/eu-central-1/bedrock/aws4_request"
    assert headers["authorization"] == expected(HOST + path, headers, body, scope)
    assert headers.get("x-amz-security-token") == fields.get("session_token")


@pytest.mark.parametrize(
    ("base_url", "fields", "scope"),
    [
        ("https://bedrock-runtime.us-gov-west-1.amazonaws.com", {"region": "eu-west-1"}, "us-gov-west-1/bedrock"),
        ("https://bedrock-runtime-fips.us-east-2.amazonaws.com", {}, "us-east-2/bedrock"),
        ("https://vpce-1-a.bedrock-runtime.us-west-2.vpce.amazonaws.com", {}, "us-west-2/bedrock"),
        ("https://bedrock-mantle.us-east-2.api.aws/v1", {}, "us-east-2/bedrock-mantle"),
        ("http://proxy.test/bedrock", {"region": "eu-west-1"}, "eu-west-1/bedrock"),
        ("http://proxy.test/bedrock", {}, "us-east-1/bedrock"),
    ],
)
async def test_region_and_service_are_those_of_the_address(base_url: str, fields: dict[str, str], scope: str) -> None:
    headers = await signed(base_url, "/x", b"{}", **KEY, **fields)

    assert f"/{scope}/aws4_request," in headers["authorization"]


async def test_a_key_in_an_object_is_a_bearer() -> None:
    assert await signed(HOST, "/x", b"", api_key="k-1", region="eu-west-1") == {"authorization": "Bearer k-1"}


@pytest.mark.parametrize("text", ["{", "{}", '{"access_key_id":"a"}', '{"access_key_id":1,"secret_access_key":"b"}'])
def test_an_object_without_keys_is_of_no_use(text: str) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        aws_authorizer(text, HOST)

    assert caught.value.failure.failure_class is FailureClass.AUTHENTICATION


def upstream(environ: dict[str, str], **settings: Any) -> Upstream:
    configured = Settings.model_validate(settings)
    return build_registry(configured, find_access(configured, environ)).find("amazon-bedrock")


def test_the_customary_variables_of_aws_call_bedrock() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "eu-west-3"}

    found = upstream(environ)

    assert found.base_url == "https://bedrock-runtime.eu-west-3.amazonaws.com"
    assert isinstance(found.authorizer, SignatureAuthorizer)
    assert "authorization" not in found.headers


def test_a_bearer_key_goes_before_access_keys() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_BEARER_TOKEN_BEDROCK": "bedrock-api-key-1"}

    found = upstream(environ)

    assert found.headers["authorization"] == "Bearer bedrock-api-key-1"
    assert found.authorizer is None
    assert found.base_url == "https://bedrock-runtime.us-east-1.amazonaws.com"


def test_a_credential_of_the_settings_names_its_region() -> None:
    told = {"amazon-bedrock": credential(**KEY, region="ap-south-1")}

    assert "ap-south-1" in upstream({"AWS_REGION": "eu-west-3"}, credentials=told).base_url


def test_no_part_of_a_credential_is_shown() -> None:
    secret = credential(**SESSION)

    shown = scrub(f"Bad {SESSION['session_token']} and {KEY['secret_access_key']} of {KEY['access_key_id']}.", secret)

    assert not any(value in shown for value in SESSION.values())


@pytest.mark.parametrize(
    ("environ", "settings", "region"),
    [
        ({}, {}, "us-east-1"),
        ({"AWS_REGION": "eu-west-3"}, {}, "eu-west-3"),
        ({"AWS_REGION": "eu-west-3"}, {"credentials": {"amazon-bedrock": credential(**KEY, region="ap-south-1")}}, "ap-south-1"),
        ({}, {"base_urls": {"amazon-bedrock": "http://127.0.0.1:9"}}, None),
    ],
)  # fmt: skip
def test_access_tells_where_the_host_is_unless_it_was_moved(
    environ: dict[str, str], settings: dict[str, Any], region: str | None
) -> None:
    access = find_access(
        Settings.model_validate(settings), {"AWS_BEARER_TOKEN_BEDROCK": "k", "OPENAI_API_KEY": "k", **environ}
    )
    assert access.regions.get("amazon-bedrock") == region
    assert "openai" not in access.regions
