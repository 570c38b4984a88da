"""What may be the base URL of a host.

Owns the check. Invariant: nobody's name, and no query but Azure's `api-version`, comes along.
"""

import re

_API_VERSION = re.compile(r"api-version=[A-Za-z0-9._-]{1,64}")


def checked_base_url(url: str) -> str:
    """The URL without a slash at its end.

    Raises:
        ValueError: it is none.
    """
    address, mark, query = url.partition("?")
    if not address.startswith(("http://", "https://")) or "@" in url or "#" in url or any(map(str.isspace, url)):
        raise ValueError("must be an http or https URL without user and fragment")
    if mark and not _API_VERSION.fullmatch(query):
        raise ValueError("must be a URL without a query, but for an `api-version`")
    return address.rstrip("/") + mark + query
