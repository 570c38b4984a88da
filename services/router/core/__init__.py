"""What is on offer, which endpoint is tried when, and how well endpoints do; pure."""
