"""Why media could not be had, in words for the caller.

Owns the errors' names (reference behaviour-facts §5.3) and words. Invariant: no word says where an address leads, or
whether anything is there: an internal host, a dead one and one that does not exist are the same to the caller.
"""

from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError

_NAMES = {"image_url": "image", "input_audio": "sound", "video_url": "video", "file": "file"}
_INVALID = "invalid_request"


class RefusedAddressError(Exception):
    """The address is not followed."""


def download_failed(kind: str, place: str, why: str) -> ProviderFailedError:
    """It could not be had at all; no other provider is asked, for its address is the caller's."""
    return _failed(kind, place, f"could not be downloaded: {why}.", "image_download_failed", elsewhere=False)


def too_large(kind: str, place: str, limit_bytes: int) -> ProviderFailedError:
    words = f"is larger than {limit_bytes} bytes."
    return _failed(kind, place, words, "image_too_large", elsewhere=True)


def unsupported_format(place: str) -> ProviderFailedError:
    words = "is not in a format that the model can see."
    return _failed("image_url", place, words, "unsupported_image_format", elsewhere=True)


def empty(kind: str, place: str) -> ProviderFailedError:
    return _failed(kind, place, "is empty.", "invalid_image", elsewhere=False)


def too_many(limit: int) -> ProviderFailedError:
    message = f"The request names more than {limit} media by address."
    return ProviderFailedError(Failure(FailureClass.INVALID_REQUEST, message=message, elsewhere=True))


def _failed(kind: str, place: str, words: str, image_error: str, *, elsewhere: bool) -> ProviderFailedError:
    name = _NAMES.get(kind, "file")
    failure = Failure(
        FailureClass.INVALID_REQUEST,
        message=f"{place}: the {name} {words}",
        elsewhere=elsewhere,
        error_type=image_error if kind == "image_url" else _INVALID,
    )
    return ProviderFailedError(failure)
