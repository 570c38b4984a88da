"""Bedrock's InvokeModel, behind which every maker of a model keeps a body of their own: vectors and rankings."""
