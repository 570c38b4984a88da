"""TLS sessions that are taken up again, which spares a new connection half of its handshake.

Owns the sessions of one client. Does not connect. Invariant: a session is taken up for the host name that was verified
when it began, and under the same settings.
"""

import ssl
from pathlib import Path
from typing import Any

_MOST_NAMES = 1_024


class ResumingContext(ssl.SSLContext):
    """A client's context that remembers a session per host name; make it with `resuming_context`."""

    sessions: dict[str, ssl.SSLSession]

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        known = self.sessions.get(server_hostname) if isinstance(server_hostname, str) else None
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session or known)

    def remember(self, connection: Any) -> None:
        """Keeps the session of a connection that has been read from: only then its tickets have come."""
        if not isinstance(connection, ssl.SSLObject) or not connection.server_hostname:
            return
        session = connection.session
        if session is not None and session.has_ticket:
            sessions = self.sessions
            if len(sessions) >= _MOST_NAMES and connection.server_hostname not in sessions:
                del sessions[next(iter(sessions))]
            sessions[connection.server_hostname] = session


def resuming_context(ca_file: Path | None = None) -> ResumingContext:
    """Verifies as usual: certificates that the system trusts, or those that `SSL_CERT_FILE` names, and those of a file.

    Raises:
        ValueError: the file cannot be read, or holds no certificate.
    """
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sessions = {}
    context.load_default_certs()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except ssl.SSLError:
            raise ValueError("holds no certificates in PEM") from None
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context
