"""Sources that hosts name beside a reply, as annotations.

Owns the shapes `citations` and `search_results`. Does not place them in the text: hosts do not say where they belong.
Invariant: an address is named once.
"""

from collections.abc import Mapping
from typing import Any

_MOST = 256


def names_sources(reply: Mapping[str, Any]) -> bool:
    return "citations" in reply or "search_results" in reply


def annotations_of(reply: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`url_citation`s for `citations` (addresses) and `search_results` (with titles), in their order."""
    titles: dict[str, tuple[str, str]] = {}
    results = reply.get("search_results")
    for result in results if isinstance(results, list) else ():
        url = result.get("url") if isinstance(result, dict) else None
        if isinstance(url, str) and url:
            titles.setdefault(url, (_text(result.get("title")), _text(result.get("snippet"))))
    citations = reply.get("citations")
    urls = [_url(citation) for citation in citations] if isinstance(citations, list) else []
    named = dict.fromkeys([*(url for url in urls if url), *titles])
    return [_annotation(url, *titles.get(url, ("", ""))) for url in list(named)[:_MOST]]


def _annotation(url: str, title: str, content: str) -> dict[str, Any]:
    citation = {"url": url, "title": title, "content": content, "start_index": 0, "end_index": 0}
    return {"type": "url_citation", "url_citation": citation}


def _url(citation: Any) -> str:
    if isinstance(citation, dict):
        citation = citation.get("url")
    return citation if isinstance(citation, str) else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
