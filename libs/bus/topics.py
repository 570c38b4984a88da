"""The topic catalogue as values: which topics exist, who reads them, how long they keep records.

Owns the run-time copy of `proto/topics.yaml`, which is the source people edit; a contract test proves that both agree.
Does not create topics. Invariant: every consumer group of a topic has a dead-letter topic of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from libs.bus.port import dead_letter_topic


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What an event log must know to create a topic."""

    name: str
    partitions: int
    retention_hours: int


@dataclass(frozen=True, slots=True)
class Topic:
    """One entry of the catalogue.

    Attributes:
        message: full name of the protobuf message in the records' values.
        key: field of the message that is the records' key.
        event_id: field of the message that is the records' `event-id`.
        groups: consumer groups, each sees every record.
        observers: services that read everything without a group.
    """

    name: str
    message: str
    key: str
    event_id: str
    partitions: int
    retention_hours: int
    dead_letter_retention_hours: int
    producers: tuple[str, ...]
    groups: tuple[str, ...]
    observers: tuple[str, ...]

    def specs(self) -> list[TopicSpec]:
        """The topic itself and the dead-letter topic of each of its groups."""
        dead = [TopicSpec(dead_letter_topic(self.name, g), 1, self.dead_letter_retention_hours) for g in self.groups]
        return [TopicSpec(self.name, self.partitions, self.retention_hours), *dead]


USAGE = Topic(
    name="switchyard.usage.v1",
    message="switchyard.events.v1.UsageRecorded",
    key="account_id",
    event_id="generation_id",
    partitions=8,
    retention_hours=168,
    dead_letter_retention_hours=720,
    producers=("edge_proxy",),
    groups=("billing_ledger", "analytics", "broadcast"),
    observers=("router",),
)

HEALTH = Topic(
    name="switchyard.health.v1",
    message="switchyard.events.v1.EndpointHealthRecorded",
    key="bucket",
    event_id="snapshot_id",
    partitions=1,
    retention_hours=26,
    dead_letter_retention_hours=720,
    producers=("router",),
    groups=(),
    observers=("router",),
)

CATALOGUE: tuple[Topic, ...] = (USAGE, HEALTH)


def all_specs(topics: Sequence[Topic] = CATALOGUE) -> list[TopicSpec]:
    """Every topic that must exist before the product runs."""
    return [spec for topic in topics for spec in topic.specs()]
