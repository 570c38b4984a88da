-- Everything analytics owns. Amounts are nano-USD. Text keys compare byte by byte.

-- One row per routed request. `event` is the whole switchyard.events.v1.UsageRecorded, as it was consumed; the columns
-- beside it are those that queries and roll-ups need.
CREATE TABLE analytics.generations (
    generation_id text COLLATE "C" PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL,
    key_hash text COLLATE "C" NOT NULL,
    created_at_ms bigint NOT NULL,
    -- switchyard.events.v1.Outcome: 1 completed, 2 cancelled, 3 failed
    outcome smallint NOT NULL,
    -- What answered; if nothing did, the model that was asked for, and empty texts.
    model text COLLATE "C" NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    provider_slug text COLLATE "C" NOT NULL,
    is_byok boolean NOT NULL,
    -- 0 while usage is in review: nothing is charged until a person has looked.
    cost_nano_usd bigint NOT NULL CHECK (cost_nano_usd >= 0),
    prompt_tokens bigint NOT NULL CHECK (prompt_tokens >= 0),
    completion_tokens bigint NOT NULL CHECK (completion_tokens >= 0),
    reasoning_tokens bigint NOT NULL CHECK (reasoning_tokens >= 0),
    event bytea NOT NULL
);

CREATE INDEX generations_by_account ON analytics.generations (account_id, created_at_ms);

-- Sums of `generations` per UTC day, and nothing else: it can be made again from that table.
CREATE TABLE analytics.daily_activity (
    account_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    key_hash text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    provider_slug text COLLATE "C" NOT NULL,
    is_byok boolean NOT NULL,
    -- All requests; cancelled and failed ones are among them.
    requests bigint NOT NULL,
    cancelled bigint NOT NULL,
    failed bigint NOT NULL,
    prompt_tokens numeric NOT NULL,
    completion_tokens numeric NOT NULL,
    reasoning_tokens numeric NOT NULL,
    cost_nano_usd numeric NOT NULL,
    PRIMARY KEY (account_id, day, key_hash, model, endpoint_id, provider_slug, is_byok)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
