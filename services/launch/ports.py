"""The public port, looked at before anything else starts.

Owns one check. Invariant: whoever cannot have the port is told within a moment, not after everything else is up.
"""

import socket


class PortTakenError(OSError):
    """Somebody else listens there; the message says how to choose another port."""


def ensure_port_is_free(host: str, port: int) -> None:
    """Raises:
    PortTakenError: a server cannot listen there now.
    """
    if not port:
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            raise PortTakenError(
                f"cannot listen on {host}:{port} ({error.strerror}); set PORT to another one"
            ) from None
