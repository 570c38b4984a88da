"""Wire formats: each turns a request into the core's Ask and the core's Script into bytes."""
