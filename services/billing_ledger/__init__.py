"""Credits, holds, settlement, key spend: everything that says no for money; see README.md."""
