-- Everything the ledger owns. Amounts are nano-USD. Text keys compare byte by byte, so that the order in which rows are
-- locked is the order in which Python sorts.
CREATE SCHEMA IF NOT EXISTS billing_ledger;

-- Projections of the entries (`credited`, `used`) and of the open holds (`held`), one row per customer.
-- Balance is credited - used; what may still be spent is balance - held.
CREATE TABLE billing_ledger.accounts (
    id text COLLATE "C" PRIMARY KEY,
    -- A thousand million USD keeps every sum and difference of the hold function far inside bigint.
    credited_nano_usd bigint NOT NULL DEFAULT 0 CHECK (credited_nano_usd BETWEEN 0 AND 1000000000000000000),
    used_nano_usd bigint NOT NULL DEFAULT 0 CHECK (used_nano_usd >= 0),
    held_nano_usd bigint NOT NULL DEFAULT 0 CHECK (held_nano_usd >= 0),
    -- What was settled although no credit was left for it, in all.
    overdraft_nano_usd bigint NOT NULL DEFAULT 0 CHECK (overdraft_nano_usd >= 0)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Projections per API key. A key belongs to one account for ever, whose row lock guards this row too.
CREATE TABLE billing_ledger.keys (
    key_hash text COLLATE "C" PRIMARY KEY,
    spent_nano_usd bigint NOT NULL DEFAULT 0,
    held_nano_usd bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Spend of a key in one UTC window: `d:2026-11-24`, `w:2026-11-23` (its Monday), `m:2026-11`.
CREATE TABLE billing_ledger.key_spend (
    key_hash text COLLATE "C" NOT NULL,
    time_window text COLLATE "C" NOT NULL,
    spent_nano_usd bigint NOT NULL,
    PRIMARY KEY (key_hash, time_window)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Open holds alone: settling, voiding and sweeping delete them.
CREATE TABLE billing_ledger.holds (
    generation_id text COLLATE "C" PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL,
    key_hash text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    amount_nano_usd bigint NOT NULL CHECK (amount_nano_usd >= 0),
    tokens bigint NOT NULL,
    held_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE billing_ledger.hold_owners (
    owner text COLLATE "C" PRIMARY KEY,
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- One row per generation that came to its end, charged or not: the idempotency register of settlement.
CREATE TABLE billing_ledger.settlements (
    generation_id text COLLATE "C" PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL,
    key_hash text COLLATE "C" NOT NULL,
    amount_nano_usd bigint NOT NULL CHECK (amount_nano_usd >= 0),
    -- 1 charged, 2 free, 3 in review
    outcome smallint NOT NULL,
    review_reason text,
    created_at_ms bigint NOT NULL,
    settled_at timestamptz NOT NULL DEFAULT now()
);

-- One row per purchase or gift of credit: the idempotency register of grants.
CREATE TABLE billing_ledger.purchases (
    account_id text COLLATE "C" NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    amount_nano_usd bigint NOT NULL CHECK (amount_nano_usd > 0),
    reason text NOT NULL,
    purchased_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, idempotency_key)
);

-- The books. A book's balance is the sum of its entries; the entries of one transaction sum to zero.
-- transaction_id: the generation id of a settlement, `purchase:<account>:<idempotency key>` of a purchase.
-- book: `credit:<account>`, `provider:<slug>`, `revenue:byok_fees`, `payment_clearing`.
CREATE TABLE billing_ledger.entries (
    transaction_id text COLLATE "C" NOT NULL,
    book text COLLATE "C" NOT NULL,
    amount_nano_usd bigint NOT NULL CHECK (amount_nano_usd <> 0),
    entered_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION billing_ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the entries of the ledger are append-only' USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER entries_are_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_ledger.entries
    FOR EACH STATEMENT EXECUTE FUNCTION billing_ledger.refuse_change();

-- A transaction's entries arrive in one statement, so this sees all of them.
CREATE FUNCTION billing_ledger.require_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added GROUP BY transaction_id HAVING sum(amount_nano_usd) <> 0) THEN
        RAISE EXCEPTION 'the entries of a transaction do not sum to zero' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER entries_balance
    AFTER INSERT ON billing_ledger.entries
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION billing_ledger.require_balance();
