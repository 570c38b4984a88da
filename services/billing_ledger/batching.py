"""Natural batching: whatever queued while the last batch was on its way goes out together.

Owns the queue of callers. Does not know what they ask for. Invariant: the queue is bounded, every caller gets exactly
one answer or error, and an idle batcher never makes anyone wait for company.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from libs.errors import AppError, unavailable

Q = TypeVar("Q")
A = TypeVar("A")


class NaturalBatcher(Generic[Q, A]):
    """Calls `answer_all` with the questions of several callers.

    Args:
        answer_all: answers a batch, in order; when it raises, every caller of the batch gets that error.
        service: named in the error that callers get when the queue is full.
        max_batch: questions in one batch.
        max_waiting: questions that wait for a batch.
        max_in_flight: batches on their way at once.
    """

    def __init__(
        self,
        answer_all: Callable[[Sequence[Q]], Awaitable[Sequence[A]]],
        *,
        service: str,
        max_batch: int,
        max_waiting: int,
        max_in_flight: int,
    ) -> None:
        self._answer_all = answer_all
        self._service = service
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._max_in_flight = max_in_flight
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._working = 0

    async def ask(self, question: Q) -> A:
        """The answer to one question.

        Raises:
            AppError: SERVICE_UNAVAILABLE when too many wait already.
        """
        if len(self._waiting) >= self._max_waiting:
            raise unavailable(self._service)
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._working < self._max_in_flight:
            self._working += 1
            task = asyncio.ensure_future(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._max_batch))]
                live = [(question, answer) for question, answer in batch if not answer.done()]
                if live:
                    await self._answer(live)
        finally:
            self._working -= 1  # here, not in a callback: whoever asks next must find nobody at work

    async def _answer(self, batch: Sequence[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            answers = await self._answer_all([question for question, _ in batch])
        except Exception as error:  # noqa: BLE001 (goes to the callers, whose interceptor deals with it)
            for _, future in batch:
                if not future.done():
                    future.set_exception(_copy_of(error))
            return
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)


def _copy_of(error: Exception) -> Exception:
    """One error raised in several tasks would gather all their tracebacks."""
    if not isinstance(error, AppError):
        return error
    copy = AppError(error.kind, error.reason, error.message, error.metadata, error.retry_after_s)
    copy.__cause__ = error.__cause__
    return copy
