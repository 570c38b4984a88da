"""What may be fetched, from where, and what becomes of a body; no socket is opened here."""

import base64
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from services.provider_adapter.media.addresses import may_connect
from services.provider_adapter.media.content_types import type_of_bytes, type_of_media
from services.provider_adapter.media.locations import checked_location
from services.provider_adapter.media.parts import Media, may_name_media, put, wanted_in
from services.provider_adapter.media.refusals import RefusedAddressError
from services.provider_adapter.protocols.anthropic_messages.protocol import AnthropicMessages
from services.provider_adapter.protocols.gemini.protocol import Gemini
from services.provider_adapter.protocols.openai_chat.protocol import OpenAiChat
from services.provider_adapter.protocols.port import NO_MEDIA, MediaNeeds, media_needs_of

PUBLIC = ["1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]  # fmt: skip
PRIVATE = [
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "::1",
    "fc00::1",
    "fdff::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::",
]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:224.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2001::1",
    "2001:db8::1",
    "2002:a9fe:a9fe::",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "localhost",
    "",
    "127.1",
    "2130706433",
    "0x7f.0.0.1",
    "010.0.0.1",
]
_CLOSED = [ip_network(n) for n in ("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "224.0.0.0/3")]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_connected_to(address: str) -> None:
    assert may_connect(address, allow_private=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_may_be_connected_to_where_that_is_allowed(address: str) -> None:
    assert not may_connect(address, allow_private=False)
    assert may_connect(address, allow_private=True)


@pytest.mark.parametrize("address", NEVER)
def test_metadata_and_what_is_no_hosts_address_is_never_connected_to(address: str) -> None:
    assert not may_connect(address, allow_private=False)
    assert not may_connect(address, allow_private=True)


@given(st.sampled_from(_CLOSED).flatmap(lambda n: st.integers(int(n[0]), int(n[-1]))))
def test_no_spelling_of_a_closed_address_gets_through(number: int) -> None:
    v4 = IPv4Address(number)
    inside = [int(IPv6Address("::ffff:0:0")) + number, int(IPv6Address("64:ff9b::")) + number, (0x2002 << 112) | (number << 80)]  # fmt: skip
    for address in (v4, *map(IPv6Address, inside)):
        assert not may_connect(str(address), allow_private=False)
    for text in (str(number), hex(number), f"0{v4}"):
        assert not may_connect(text, allow_private=True)


@given(st.ip_addresses())
def test_what_private_networks_do_not_open_is_public_without_them_too(address: Any) -> None:
    if may_connect(str(address), allow_private=False):
        assert may_connect(str(address), allow_private=True)
        assert address.is_global
        assert not address.is_multicast


@given(st.text(max_size=40))
def test_no_text_breaks_the_rule(text: str) -> None:
    assert may_connect(text, allow_private=True) in {True, False}


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png",
        "HTTP://example.com",
        "http://example.com:8080/x?y=1",
        "https://93.184.216.34/a",
        "https://[2606:4700:4700::1111]/a",
        "https://1.example.com/a",
    ],
)
def test_an_ordinary_location_is_followed(url: str) -> None:
    assert str(checked_location(url, allow_private=False)).lower() == str(URL(url)).lower()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a",
        "file:///etc/passwd",
        "gopher://example.com/",
        "//example.com/a",
        "/a.png",
        "https://",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://example.com:22/",
        "http://example.com:6379/",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[fe80::1%25eth0]/",
        "http://[not an address/",
        "https://example.com/" + "a" * 9000,
        "",
        "\x00",
    ],
)
def test_any_other_location_is_refused(url: str) -> None:
    with pytest.raises(RefusedAddressError):
        checked_location(url, allow_private=False)


@pytest.mark.parametrize(
    ("target", "followed"),
    [
        ("/b.png", "https://example.com/b.png"),
        ("b.png#x", "https://example.com/dir/b.png"),
        ("https://other.example/", "https://other.example/"),
        ("http://example.com/", None),
        ("http://127.0.0.1/", None),
        ("//169.254.169.254/", None),
        ("data:image/png;base64,AAAA", None),
    ],
)
def test_a_redirect_is_checked_like_an_address_and_never_leaves_encryption(target: str, followed: str | None) -> None:
    base = URL("https://example.com/dir/a.png")
    if followed is None:
        with pytest.raises(RefusedAddressError):
            checked_location(target, allow_private=False, base=base)
    else:
        assert str(checked_location(target, allow_private=False, base=base)) == followed


@given(st.text())
def test_no_text_breaks_the_reading_of_locations(text: str) -> None:
    with suppress(RefusedAddressError):
        assert checked_location(text, allow_private=False).scheme in {"http", "https"}


PNG = b"\x89PNG\r\n\x1a\n...."


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF....WEBPVP8 ", "image/webp"),
        (b"RIFF....WAVEfmt ", "audio/wav"),
        (b"....ftypavif", "image/avif"),
        (b"....ftypisom", "video/mp4"),
        (b"%PDF-1.7", "application/pdf"),
        (b"<svg xmlns=", ""),
        (b"", ""),
    ],
)
def test_media_is_known_by_its_beginning(data: bytes, mime_type: str) -> None:
    assert type_of_bytes(data) == mime_type


def test_of_images_the_bytes_decide_and_of_the_rest_the_server() -> None:
    assert type_of_media("image_url", PNG, "image/jpeg", "") == "image/png"
    assert type_of_media("image_url", b"<html>", "image/png", "image/png") == ""
    assert type_of_media("file", b"a,b", "text/csv; charset=utf-8", "application/pdf") == "text/csv"
    assert type_of_media("file", b"%PDF-1", "application/octet-stream", "") == "application/pdf"
    assert type_of_media("file", b"?", "", "application/pdf") == "application/pdf"


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def body_of(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


GEMINI = media_needs_of(Gemini())


def test_formats_say_which_media_they_want_as_bytes() -> None:
    parts = [
        image("https://a.example/i.png"),
        image("http://a.example/i.png"),
        image("data:image/png;base64,AAAA"),
        image("gs://bucket/i.png"),
        {"type": "video_url", "video_url": {"url": "https://www.youtube.com/watch?v=1"}},
        {"type": "video_url", "video_url": {"url": "https://a.example/v.mp4"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "https://a.example/a.pdf"}},
        {"type": "file", "file": {"file_id": "https://generativelanguage.googleapis.com/v1beta/files/x"}},
        {"type": "input_audio", "input_audio": {"data": "https://a.example/s.mp3", "format": "mp3"}},
        {"type": "text", "text": "https://a.example/i.png"},
    ]

    def places(needs: MediaNeeds) -> list[str]:
        return [found.place for found in wanted_in(body_of(*parts), needs)]

    assert places(GEMINI) == [f"messages[0].content[{n}]" for n in (0, 1, 5, 6, 8)]
    assert places(media_needs_of(AnthropicMessages())) == ["messages[0].content[1]"]
    assert places(media_needs_of(OpenAiChat())) == [f"messages[0].content[{n}]" for n in (6, 8)]
    assert places(NO_MEDIA) == []


@pytest.mark.parametrize(
    "body",
    [b"null", b"[]", b"{}", b'{"messages":1}', b'{"messages":[1,{"content":1},{"content":[1,{"type":[]}]}]}'],
)
def test_what_is_no_conversation_names_nothing(body: bytes) -> None:
    assert wanted_in(orjson.loads(body), GEMINI) == []


def test_a_body_of_words_is_not_read_for_media() -> None:
    assert not may_name_media(orjson.dumps(body_of({"type": "text", "text": "see https://a.example"})), GEMINI)
    assert not may_name_media(orjson.dumps(body_of(image("data:image/png;base64,AAAA"))), GEMINI)
    assert may_name_media(orjson.dumps(body_of(image("https://a.example"))), GEMINI)


def test_bytes_take_the_place_of_the_address_and_nothing_else_changes() -> None:
    body = body_of(
        image("https://a.example/i"),
        {"type": "image_url", "image_url": "https://a.example/i"},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "https://a.example/a.pdf"}, "cache_control": {}},
        {"type": "input_audio", "input_audio": {"data": "https://a.example/s", "format": "wav"}},
    )
    media = [Media("image/png", b"p"), Media("image/png", b"p"), Media("text/csv", b"a"), Media("audio/mpeg", b"s")]
    for found, fetched in zip(wanted_in(body, GEMINI), media, strict=True):
        put(found, fetched)

    encoded = base64.b64encode(b"p").decode()
    assert body == body_of(
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": f"data:text/csv;base64,{base64.b64encode(b'a').decode()}"},
            "cache_control": {},
        },
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"s").decode(), "format": "mp3"}},
    )
    assert wanted_in(body, GEMINI) == []
