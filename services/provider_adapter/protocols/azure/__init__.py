"""Azure OpenAI: OpenAI's chat at an operator's own resource, under the names of their deployments."""
