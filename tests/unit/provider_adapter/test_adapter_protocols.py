import pytest

from tests.testkit.provider_conformance import ProviderConformance
from tests.testkit.provider_wires import (
    AnthropicWire,
    GeminiWire,
    OpenAiChatWire,
    VertexClaudeWire,
    VertexGeminiWire,
    Wire,
)
from tests.testkit.provider_wires_bedrock import BedrockWire
from tests.testkit.provider_wires_cohere import CohereWire
from tests.testkit.provider_wires_gigachat import GigaChatWire
from tests.testkit.provider_wires_oci import OciCohereWire, OciFirstCohereWire, OciWire
from tests.testkit.provider_wires_replicate import ReplicateWire
from tests.testkit.provider_wires_responses import OpenAiResponsesWire
from tests.testkit.provider_wires_watsonx import WatsonxWire


class TestOpenAiChat(ProviderConformance):
    @pytest.fixture
    def wire(self) -> Wire:
        return OpenAiChatWire()


class TestAnthropicMessages(ProviderConformance):
    @pytest.fixture
    def wire(self) -> Wire:
        return AnthropicWire()


class TestGemini(ProviderConformance):
    @pytest.fixture
    def wire(self) -> Wire:
        return GeminiWire()


class TestCohere(ProviderConformance):
    @pytest.fixture
    def wire(self) -> Wire:
        return CohereWire()


class TestBedrockConverse(ProviderConformance):
    @pytest.fixture
    def wire(self) -> Wire:
        return BedrockWire()


class TestOpenAiResponses(ProviderConformance):
    @pytest.fixture
    def wire(self) -> Wire:
        return OpenAiResponsesWire()


class TestVertexGemini(ProviderConformance):
    @pytest.fixture
    def wire(self) -> Wire:
        return VertexGeminiWire()


class TestVertexClaude(ProviderConformance):
    @pytest.fixture
    def wire(self) -> Wire:
        return VertexClaudeWire()


class TestGigaChat(ProviderConformance):
    @pytest.fixture
    def wire(self) -> Wire:
        return GigaChatWire()


class TestWatsonx(ProviderConformance):
    @pytest.fixture
    def wire(self) -> Wire:
        return WatsonxWire()


class TestReplicate(ProviderConformance):
    @pytest.fixture
    def wire(self) -> Wire:
        return ReplicateWire()


class TestOci(ProviderConformance):
    @pytest.fixture
    def wire(self) -> Wire:
        return OciWire()


class TestCohereAtOci(ProviderConformance):
    @pytest.fixture
    def wire(self) -> Wire:
        return OciCohereWire()


class TestFirstCohereAtOci(ProviderConformance):
    @pytest.fixture
    def wire(self) -> Wire:
        return OciFirstCohereWire()
