"""AWS Bedrock's Converse and ConverseStream, as the upstream's own format."""
