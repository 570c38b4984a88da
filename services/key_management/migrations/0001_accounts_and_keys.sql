-- Accounts and API keys. Times are unix milliseconds, amounts nano-USD.

CREATE TABLE accounts (
    account_id text PRIMARY KEY,
    workspace_id text NOT NULL UNIQUE,
    is_bootstrap boolean NOT NULL DEFAULT false,
    created_at_ms bigint NOT NULL
);

-- At most one bootstrap account, however many replicas ask for it at once.
CREATE UNIQUE INDEX accounts_one_bootstrap ON accounts (is_bootstrap) WHERE is_bootstrap;

CREATE TABLE keys (
    -- SHA-256 of the plaintext; a deleted key's row stays, so that its hash stays taken.
    key_hash text PRIMARY KEY CHECK (key_hash ~ '^[0-9a-f]{64}$'),
    account_id text NOT NULL REFERENCES accounts,
    workspace_id text NOT NULL,
    name text NOT NULL,
    label text NOT NULL,
    is_management boolean NOT NULL,
    disabled boolean NOT NULL DEFAULT false,
    created_at_ms bigint NOT NULL,
    updated_at_ms bigint,
    expires_at_ms bigint,
    deleted_at_ms bigint,
    limit_nano_usd bigint CHECK (limit_nano_usd >= 0),
    limit_reset text NOT NULL CHECK (limit_reset IN ('never', 'daily', 'weekly', 'monthly')),
    include_byok_in_limit boolean NOT NULL,
    creator_user_id text
);

CREATE INDEX keys_of_account ON keys (account_id, created_at_ms DESC) WHERE deleted_at_ms IS NULL;
