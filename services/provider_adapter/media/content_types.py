"""What kind of media some bytes are.

Owns the signatures by which common formats are known, and whose word counts: of images the bytes', of the rest the
server's where it says something. Decodes nothing. Invariant: an image that is none of the known formats has no type.
"""

BINARY = "application/octet-stream"
IMAGE_TYPES = frozenset(
    f"image/{name}" for name in ("png", "jpeg", "gif", "webp", "bmp", "tiff", "avif", "heic", "heif")
)
_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/avi"}
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"M4A ": "audio/mp4",
    b"qt  ": "video/quicktime",
}


def type_of_bytes(data: bytes) -> str:
    """The type that the beginning shows; empty when it shows none."""
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12], "")
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "video/mp4")
    return next((name for beginning, name in _BEGINNINGS if data.startswith(beginning)), "")


def type_of_media(kind: str, data: bytes, told: str, guess: str) -> str:
    """The type of fetched media; empty: an image in no known format.

    Args:
        kind: of the content part.
        data: the bytes.
        told: the server's `Content-Type`.
        guess: from the name in the address, or what such a part usually is.
    """
    seen = type_of_bytes(data)
    if kind == "image_url":
        return seen if seen in IMAGE_TYPES else ""
    said = told.partition(";")[0].strip().lower()
    if said and "/" in said and said not in {BINARY, "binary/octet-stream"} and said.isascii():
        return said
    return seen or guess
