"""Which of its kinds of chat a model of Oracle's is asked in.

Owns that choice, by the model's name. Invariant: every model has one; a request of another kind would be refused («Chat
request type does not match serving model»).

Sources: Oracle's SDK (`apiFormat` of its chat requests); public clients on which Cohere's models take which: those named
Command A take the second kind (seen at the service by NVIDIA's codec for it, calls and all), Command R the first.
"""

from enum import StrEnum


class Form(StrEnum):
    """As `apiFormat` has it."""

    GENERIC = "GENERIC"
    COHERE = "COHERE"
    COHERE_V2 = "COHEREV2"


def form_of(model: str) -> Form:
    if not model.startswith("cohere."):
        return Form.GENERIC
    return Form.COHERE_V2 if model.startswith("cohere.command-a") else Form.COHERE
