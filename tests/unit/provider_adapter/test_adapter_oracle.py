"""Who calls Oracle's cloud: signatures, and which doors a credential opens."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from services.provider_adapter.access import Access, find_access
from services.provider_adapter.credentials.oracle import oracle_authorizer
from services.provider_adapter.credentials.port import Place
from services.provider_adapter.main import build_registry
from services.provider_adapter.protocols.failures import FailureClass, ProviderFailedError
from services.provider_adapter.settings import Settings

TENANCY, USER = "ocid1.tenancy.oc1..aaaa", "ocid1.user.oc1..bbbb"
COMPARTMENT = "ocid1.compartment.oc1..cccc"
HOST = "https://inference.generativeai.eu-frankfurt-1.oci.oraclecloud.com"
PARTS = {"OCI_TENANCY": TENANCY, "OCI_USER": USER, "OCI_FINGERPRINT": "20:3b", "OCI_REGION": "eu-frankfurt-1"}


@cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, pass_phrase: str = "") -> str:
    how: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if pass_phrase:
        how = serialization.BestAvailableEncryption(pass_phrase.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how).decode()


def credential(**fields: str) -> str:
    told = {"tenancy": TENANCY, "user": USER, "fingerprint": "20:3b:97", "key": pem(private_key())}
    return orjson.dumps({**told, **fields}).decode()


def access(environ: dict[str, str], **settings: Any) -> Access:
    return find_access(Settings.model_validate(settings), environ)


@pytest.mark.parametrize("path", ["/20231130/actions/chat", "/openai/v1/chat/completions?a=b"])
@pytest.mark.parametrize("line_end", ["\n", "\\n"], ids=["plain", "in one line"])
async def test_a_request_is_signed_as_the_book_says(path: str, line_end: str) -> None:
    text = credential(key=pem(private_key()).replace("\n", line_end))
    authorizer = oracle_authorizer(text, Place(HOST, account={"compartmentId": COMPARTMENT}))
    assert authorizer is not None
    body = orjson.dumps({"a": "ü"})

    headers = await authorizer.headers("POST", HOST + path, body)

    found = re.fullmatch(r'Signature (.*),headers="(.*)",signature="(.*)"', headers["Authorization"])
    assert found is not None
    assert found[1] == f'version="1",keyId="{TENANCY}/{USER}/20:3b:97",algorithm="rsa-sha256"'
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    said = {
        "date": headers["Date"],
        "(request-target)": f"post {path}",
        "host": urlsplit(HOST).netloc,
        "content-length": str(len(body)),
        "content-type": "application/json",
        "x-content-sha256": digest,
    }
    assert headers["x-content-sha256"] == digest
    assert set(found[2].split()) == set(said)
    words = "\n".join(f"{name}: {said[name]}" for name in found[2].split()).encode()
    private_key().public_key().verify(base64.b64decode(found[3]), words, padding.PKCS1v15(), hashes.SHA256())
    assert headers["CompartmentId"] == COMPARTMENT


async def test_a_key_with_a_pass_phrase_signs_too() -> None:
    text = credential(key=pem(private_key(), "open"), pass_phrase="open")
    authorizer = oracle_authorizer(text, Place(HOST))
    assert authorizer is not None

    headers = await authorizer.headers("POST", HOST + "/x", b"{}")

    assert headers["Authorization"].startswith("Signature ")
    assert "CompartmentId" not in headers


def test_an_api_key_is_a_constant_header() -> None:
    assert oracle_authorizer("sk-1", Place(HOST)) is None


@pytest.mark.parametrize("text", ["{", "{}", '{"tenancy":"a","user":"b","fingerprint":"c","key":7}'])
def test_an_object_without_a_key_is_of_no_use(text: str) -> None:
    with pytest.raises(ProviderFailedError) as caught:
        oracle_authorizer(text, Place(HOST))

    assert caught.value.failure.failure_class is FailureClass.AUTHENTICATION


@pytest.mark.parametrize("kind", ["no pem", "no rsa", "locked"])
async def test_a_key_that_cannot_sign_is_of_no_use_and_not_shown(kind: str) -> None:
    keys = {
        "no pem": "no pem",
        "no rsa": pem(ec.generate_private_key(ec.SECP256R1())),
        "locked": pem(private_key(), "open"),
    }
    authorizer = oracle_authorizer(credential(key=keys[kind]), Place(HOST))
    assert authorizer is not None

    with pytest.raises(ProviderFailedError) as caught:
        await authorizer.headers("POST", HOST + "/x", b"{}")

    assert caught.value.failure.failure_class is FailureClass.AUTHENTICATION
    assert keys[kind] not in str(caught.value.failure)
    assert caught.value.__cause__ is None


def test_an_api_key_opens_the_door_of_openais_format_alone() -> None:
    found = access({"OCI_GENAI_API_KEY": "sk-1"})

    upstream = build_registry(Settings(), found).find("oci")
    assert upstream.base_url == "https://inference.generativeai.us-chicago-1.oci.oraclecloud.com/openai/v1"
    assert upstream.headers["Authorization"] == "Bearer sk-1"
    assert found.shut == {"oci": frozenset({"oci"})}


def test_a_signing_key_opens_both(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(pem(private_key()))
    for way in ({"OCI_KEY": pem(private_key())}, {"OCI_KEY_FILE": str(file)}):
        found = access({**PARTS, **way, "OCI_COMPARTMENT_ID": COMPARTMENT})
        registry = build_registry(Settings(), found)

        native, common = registry.find("oci", protocol="oci"), registry.find("oci")
        assert (native.base_url, common.base_url) == (HOST, f"{HOST}/openai/v1")
        assert native.account == {"compartmentId": COMPARTMENT}
        assert native.authorizer is not None
        assert common.authorizer is not None
        assert "Authorization" not in native.headers
        assert found.shut == {}


def test_a_file_that_is_not_there_is_no_credential(tmp_path: Path) -> None:
    assert access({**PARTS, "OCI_KEY_FILE": str(tmp_path / "none.pem")}).credentials == {}


def test_who_names_no_compartment_means_the_root() -> None:
    registry = build_registry(Settings(), access({**PARTS, "OCI_KEY": pem(private_key())}))

    assert registry.find("oci", protocol="oci").account == {"compartmentId": TENANCY}


def test_a_credential_says_its_region_and_compartment_itself() -> None:
    text = credential(region="uk-london-1", compartment_id=COMPARTMENT)
    registry = build_registry(Settings(), access({"OCI_REGION": "eu-frankfurt-1"}, credentials={"oci": text}))

    found = registry.find("oci", "embeddings", "oci")
    assert found.base_url == HOST.replace("eu-frankfurt-1", "uk-london-1")
    assert found.account == {"compartmentId": COMPARTMENT}


def test_a_proxy_may_stand_behind_both_formats() -> None:
    settings = {"base_urls": {"oci": "http://proxy.test/oci"}}
    found = access({"OCI_GENAI_API_KEY": "sk-1"}, **settings)
    registry = build_registry(Settings.model_validate(settings), found)

    assert registry.find("oci", protocol="oci").base_url == "http://proxy.test/oci"
    assert registry.find("oci").base_url == "http://proxy.test/oci"
    assert found.shut == {}
