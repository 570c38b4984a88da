"""The rerank format that Jina, Voyage and OpenAI-compatible hosts share."""
