"""What a caller's parts say where a format takes nothing but text.

Owns how a file of text stands in a message. Does not know what else a format takes: it says so. Invariant: media that has no
form is refused, never left out.
"""

from collections.abc import Callable, Sequence

from services.provider_adapter.protocols.attachments import Attachment, attachment_of, text_of
from services.provider_adapter.protocols.chat_body import cannot_carry
from services.provider_adapter.protocols.conversation import Part, texts_of


def plain_words(parts: Sequence[Part], refused: str, takes: Callable[[Attachment], bool] = lambda _: False) -> str:
    """The texts, and the files of text under their names.

    Args:
        parts: of one message, or of one result.
        refused: names what has no form here, for the caller.
        takes: true for an attachment that has one elsewhere in the request, and was put there.

    Raises:
        ProviderFailedError: a part is neither text nor taken.
    """
    texts: list[str] = []
    for part in parts:
        if part.get("type") == "text":
            texts.extend(texts_of([part]))
            continue
        attachment = attachment_of(part)
        if attachment is None or takes(attachment):
            continue
        text = text_of(attachment)
        if text is None:
            raise cannot_carry(refused)
        texts.append(f"{attachment.name}:\n{text}" if attachment.name else text)
    return "\n\n".join(texts)
