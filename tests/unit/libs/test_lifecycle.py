"""The life of a process: background work that ends stops it, and everything stops in order."""

import asyncio
import os
import signal

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2  # noqa: F401
