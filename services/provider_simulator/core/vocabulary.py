"""The words of made-up answers.

Invariant: the same seed gives the same words, on every machine and in every process.
"""

from zlib import crc32

_TEXT = (
    "signal track lever switch yard engine wagon coupling rail sleeper ballast junction siding platform whistle lamp "
    "guard driver timetable freight parcel tender boiler piston valve axle buffer bogie gauge gradient tunnel viaduct "
    "cutting bridge crossing gate semaphore relay circuit token block section departure arrival local express shuttle "
    "depot crane turntable shed roster route map ledger ticket window bench clock stop change line north"
)
_WORDS = _TEXT.split()
_SPACED = tuple(f" {word}" for word in _WORDS)
_STRIDE = 7


def made_up_words(seed: str, count: int) -> tuple[str, ...]:
    """Words of an answer; all but the first begin with the space that parts them from the one before."""
    if count == 0:
        return ()
    start = crc32(seed.encode(errors="replace"))
    size = len(_SPACED)
    return (
        _WORDS[start % size],
        *(_SPACED[(start + place * _STRIDE) % size] for place in range(1, count)),
    )
