"""AWS Bedrock's Converse and ConverseStream, in binary frames."""
