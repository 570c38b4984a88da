"""Which endpoint holds the prompt cache of which conversation (reference behaviour-facts §1.4).

Owns the memory of it: what starts it, what keeps it, when it ends. Does not decide who may use it (the plan does).
Invariants: a failure changes nothing; memory is bounded, and who was served longest ago is forgotten first.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

IDLE_S: Final = 600
MAX_SESSIONS: Final = 200_000
_GENERATION_S: Final = 60
_GENERATIONS: Final = IDLE_S // _GENERATION_S


class Served(NamedTuple):
    """A request of a conversation was served.

    Attributes:
        session_key: of the conversation, a slash, the model.
        is_explicit: the caller named the conversation.
        hit_cache: part of the prompt came from the endpoint's cache.
    """

    session_key: str
    endpoint_id: str
    at_s: int
    is_explicit: bool
    hit_cache: bool


class StickySessions(Mapping[str, str]):
    """Endpoint by session key; sessions lie in generations of a minute, by when they were served last.

    What is served moves to the newest generation, so that the oldest one can be dropped whole, without a time or a
    link per session. A session ends between 10 and 11 minutes after it was served last.
    """

    def __init__(self, max_sessions: int = MAX_SESSIONS) -> None:
        self._max_sessions = max_sessions
        self._generations: dict[int, dict[str, str]] = {}
        """Newest first."""
        self._count = 0

    def learn(self, served: Served, now_s: int) -> None:
        """Takes in a success."""
        self.advance(now_s)
        number = min(served.at_s, now_s) // _GENERATION_S
        if number < now_s // _GENERATION_S - _GENERATIONS:
            return
        known_in = next((one for one, found in self._generations.items() if served.session_key in found), None)
        if known_in is not None and known_in > number:
            return
        known = None if known_in is None else self._generations[known_in][served.session_key]
        if not (served.is_explicit or served.hit_cache or known == served.endpoint_id):
            return
        if known_in is not None:
            del self._generations[known_in][served.session_key]
            self._count -= 1
        self._make_room()
        self._generation(number)[served.session_key] = served.endpoint_id
        self._count += 1

    def advance(self, now_s: int) -> None:
        """Forgets who was idle for too long."""
        oldest = now_s // _GENERATION_S - _GENERATIONS
        for number in [number for number in self._generations if number < oldest]:
            self._count -= len(self._generations.pop(number))

    def __getitem__(self, session_key: str) -> str:
        for generation in self._generations.values():
            found = generation.get(session_key)
            if found is not None:
                return found
        raise KeyError(session_key)

    def __iter__(self) -> Iterator[str]:
        for generation in self._generations.values():
            yield from generation

    def __len__(self) -> int:
        return self._count

    def _generation(self, number: int) -> dict[str, str]:
        found = self._generations.get(number)
        if found is None:
            found = {}
            self._generations = dict(sorted([*self._generations.items(), (number, found)], reverse=True))
        return found

    def _make_room(self) -> None:
        """Forgets a twentieth at once, oldest first: one at a time, a dictionary is slow at its front."""
        if self._count < self._max_sessions:
            return
        wanted = max(1, self._max_sessions // 20)
        for generation in reversed(self._generations.values()):
            keys = list(islice(generation, wanted))
            for key in keys:
                del generation[key]
            self._count -= len(keys)
            wanted -= len(keys)
            if not wanted:
                return
