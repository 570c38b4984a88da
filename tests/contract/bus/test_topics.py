"""The catalogue that programs read is the one that people edit."""

import importlib
import re
from pathlib import Path

import yaml
from google.protobuf import descriptor_pool

from libs.bus.port import dead_letter_topic
from libs.bus.topics import CATALOGUE, all_specs

_SOURCE = Path(__file__).resolve().parents[3] / "proto" / "topics.yaml"


def test_catalogue_agrees_with_its_source() -> None:
    document = yaml.safe_load(_SOURCE.read_text())
    assert [topic.name for topic in CATALOGUE] == list(document["topics"])
    for topic in CATALOGUE:
        entry = document["topics"][topic.name]
        readers = entry["consumers"]
        assert topic.message == entry["message"]
        assert topic.key == entry["key"]
        assert topic.event_id == entry["event_id"]
        assert topic.partitions == entry["partitions"]
        assert topic.retention_hours == entry["retention_hours"]
        assert topic.dead_letter_retention_hours == entry["dead_letter_retention_hours"]
        assert list(topic.producers) == entry["producers"]
        assert list(topic.groups) == [name for name, text in readers.items() if "without a group" not in text]
        assert list(topic.observers) == [name for name, text in readers.items() if "without a group" in text]


def test_messages_exist_and_have_the_fields_that_identify_them() -> None:
    for topic in CATALOGUE:
        package, _, name = topic.message.rpartition(".")
        importlib.import_module(f"{package}.{re.sub('(?<!^)(?=[A-Z])', '_', name).lower()}_pb2")
        descriptor = descriptor_pool.Default().FindMessageTypeByName(topic.message)
        assert {topic.key, topic.event_id} <= set(descriptor.fields_by_name)


def test_every_group_has_a_dead_letter_topic() -> None:
    names = {spec.name for spec in all_specs()}
    for topic in CATALOGUE:
        assert {dead_letter_topic(topic.name, group) for group in topic.groups} <= names
