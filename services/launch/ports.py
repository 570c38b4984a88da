"""The public port, looked at before anything else starts.

Owns one check. Invariant: whoever cannot have the port is told within a moment, not after everything else is up.
"""

import asyncio
import socket
from typing import Final

LEFT_BEHIND_S: Final = 20.0
"""How long processes of a killed run may take to end."""


class PortTakenError(OSError):
    """Somebody else listens there; the message says how to choose another port."""


async def ensure_port_is_free(host: str, port: int, *, patience_s: float = 0.0) -> None:
    """Waits for a port that is about to become free, such as one that a killed run's last process still has.

    Raises:
        PortTakenError: a server cannot listen there.
    """
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + patience_s
    while port:
        try:
            _try(host, port)
        except OSError as error:
            if loop.time() >= deadline_s:
                raise PortTakenError(
                    f"cannot listen on {host}:{port} ({error.strerror}); set PORT to another one"
                ) from None
            await asyncio.sleep(0.05)
        else:
            return


def _try(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        probe.listen()
