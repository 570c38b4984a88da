-- Settlement and grants. Locks in the same order as in 0002: accounts by id, then holds, then keys, then key spend.

-- Settles a batch of generations, each at most once ever.
--
-- p_accounts: distinct, ascending. p_days, p_windows: which windows (three for each distinct day) a day belongs to.
-- The rest has one element per event, generation ids distinct. p_counter_books names where an amount goes.
-- duplicates: generation ids that were settled before, untouched; NULL: none.
-- overdrafts: accounts that this batch left, or left further, below zero.
CREATE FUNCTION billing_ledger.settle(
    p_accounts text[], p_days int[], p_windows text[],
    p_generation_ids text[], p_account_ids text[], p_key_hashes text[], p_amounts bigint[], p_counter_books text[],
    p_outcomes smallint[], p_review_reasons text[], p_created_at_ms bigint[], p_event_days int[],
    OUT duplicates text[], OUT overdrafts int
) LANGUAGE plpgsql AS $$
DECLARE
    gone_accounts text[];
    gone_keys text[];
    gone_amounts bigint[];
BEGIN
    overdrafts := 0;
    INSERT INTO billing_ledger.accounts (id) SELECT unnest(p_accounts) ON CONFLICT (id) DO NOTHING;
    PERFORM FROM billing_ledger.accounts a WHERE a.id = ANY (p_accounts) ORDER BY a.id FOR UPDATE;

    SELECT array_agg(s.generation_id) INTO duplicates
        FROM billing_ledger.settlements s WHERE s.generation_id = ANY (p_generation_ids);
    IF duplicates IS NOT NULL THEN
        SELECT array_agg(t.a), array_agg(t.b), array_agg(t.c), array_agg(t.d), array_agg(t.e),
               array_agg(t.f), array_agg(t.g), array_agg(t.h), array_agg(t.i)
            INTO p_generation_ids, p_account_ids, p_key_hashes, p_amounts, p_counter_books,
               p_outcomes, p_review_reasons, p_created_at_ms, p_event_days
            FROM unnest(p_generation_ids, p_account_ids, p_key_hashes, p_amounts, p_counter_books,
               p_outcomes, p_review_reasons, p_created_at_ms, p_event_days) t (a, b, c, d, e, f, g, h, i)
            WHERE t.a <> ALL (duplicates);
        IF p_generation_ids IS NULL THEN
            RETURN;
        END IF;
    END IF;

    -- Two accounts that claim one generation violate the primary key here: the event is at fault and the batch fails.
    INSERT INTO billing_ledger.settlements
        (generation_id, account_id, key_hash, amount_nano_usd, outcome, review_reason, created_at_ms)
        SELECT * FROM unnest(p_generation_ids, p_account_ids, p_key_hashes, p_amounts, p_outcomes, p_review_reasons,
                             p_created_at_ms);

    WITH gone AS (
        DELETE FROM billing_ledger.holds h
        WHERE h.generation_id = ANY (p_generation_ids) AND h.account_id = ANY (p_accounts)
        RETURNING h.account_id, h.key_hash, h.amount_nano_usd
    )
    SELECT array_agg(account_id), array_agg(key_hash), array_agg(amount_nano_usd)
        INTO gone_accounts, gone_keys, gone_amounts FROM gone;

    WITH moves AS (
        SELECT t.id, sum(t.amount)::bigint AS amount, sum(t.held)::bigint AS held
        FROM (
            SELECT p.id, p.amount, 0 AS held FROM unnest(p_account_ids, p_amounts) p (id, amount) WHERE p.amount > 0
            UNION ALL
            SELECT g.id, 0, g.held FROM unnest(gone_accounts, gone_amounts) g (id, held)
        ) t GROUP BY t.id
    ), moved AS (
        UPDATE billing_ledger.accounts a SET
            used_nano_usd = a.used_nano_usd + m.amount,
            held_nano_usd = a.held_nano_usd - m.held,
            overdraft_nano_usd = a.overdraft_nano_usd
                + greatest(0, a.used_nano_usd + m.amount - a.credited_nano_usd)
                - greatest(0, a.used_nano_usd - a.credited_nano_usd)
        FROM moves m WHERE a.id = m.id
        RETURNING m.amount > 0 AND a.used_nano_usd > a.credited_nano_usd AS is_overdraft
    )
    SELECT count(*) FILTER (WHERE is_overdraft) INTO overdrafts FROM moved;

    INSERT INTO billing_ledger.keys AS k (key_hash, spent_nano_usd, held_nano_usd)
        SELECT t.key_hash, sum(t.amount)::bigint, -sum(t.held)::bigint
        FROM (
            SELECT p.key_hash, p.amount, 0 AS held FROM unnest(p_key_hashes, p_amounts) p (key_hash, amount)
            WHERE p.amount > 0
            UNION ALL
            SELECT g.key_hash, 0, g.held FROM unnest(gone_keys, gone_amounts) g (key_hash, held)
        ) t GROUP BY t.key_hash HAVING sum(t.amount) <> 0 OR sum(t.held) <> 0 ORDER BY t.key_hash
        ON CONFLICT (key_hash) DO UPDATE SET
            spent_nano_usd = k.spent_nano_usd + excluded.spent_nano_usd,
            held_nano_usd = k.held_nano_usd + excluded.held_nano_usd;

    INSERT INTO billing_ledger.key_spend AS s (key_hash, time_window, spent_nano_usd)
        SELECT t.key_hash, w.time_window, sum(t.amount)::bigint
        FROM (
            SELECT p.key_hash, p.day, sum(p.amount) AS amount
            FROM unnest(p_key_hashes, p_event_days, p_amounts) p (key_hash, day, amount)
            WHERE p.amount > 0 GROUP BY p.key_hash, p.day
        ) t JOIN unnest(p_days, p_windows) w (day, time_window) ON w.day = t.day
        GROUP BY t.key_hash, w.time_window ORDER BY t.key_hash, w.time_window
        ON CONFLICT (key_hash, time_window) DO UPDATE SET spent_nano_usd = s.spent_nano_usd + excluded.spent_nano_usd;

    INSERT INTO billing_ledger.entries (transaction_id, book, amount_nano_usd)
        SELECT t.generation_id, side.book, side.amount
        FROM unnest(p_generation_ids, p_account_ids, p_counter_books, p_amounts) t (generation_id, account_id, counter_book, amount),
            LATERAL (VALUES ('credit:' || t.account_id, -t.amount), (t.counter_book, t.amount)) side (book, amount)
        WHERE t.amount > 0;
END $$;

-- Adds credit once per account and idempotency key; false: it was added before.
CREATE FUNCTION billing_ledger.grant_credit(p_account_id text, p_amount bigint, p_idempotency_key text, p_reason text)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_ledger.accounts (id) VALUES (p_account_id) ON CONFLICT (id) DO NOTHING;
    PERFORM FROM billing_ledger.accounts a WHERE a.id = p_account_id FOR UPDATE;
    INSERT INTO billing_ledger.purchases (account_id, idempotency_key, amount_nano_usd, reason)
        VALUES (p_account_id, p_idempotency_key, p_amount, p_reason) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE billing_ledger.accounts SET credited_nano_usd = credited_nano_usd + p_amount WHERE id = p_account_id;
    INSERT INTO billing_ledger.entries (transaction_id, book, amount_nano_usd) VALUES
        ('purchase:' || p_account_id || ':' || p_idempotency_key, 'payment_clearing', -p_amount),
        ('purchase:' || p_account_id || ':' || p_idempotency_key, 'credit:' || p_account_id, p_amount);
    RETURN true;
END $$;
