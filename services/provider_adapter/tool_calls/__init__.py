"""Whether the calls of a reply are calls of the request's tools: pure, once for every wire format."""
