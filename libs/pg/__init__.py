"""PostgreSQL: pool, forward-only migrations, and the embedded server for laptops and tests."""
