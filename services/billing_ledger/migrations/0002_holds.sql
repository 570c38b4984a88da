-- Hold, void and sweep. Locks are always taken in this order: accounts by id, then holds, then keys.
-- Every function needs READ COMMITTED: what follows a lock must see what was committed before the lock was got.

-- The same arithmetic as libs/money.py, for the rare case that a wish does not fit; a property test compares them.
CREATE FUNCTION billing_ledger.cost(units bigint, price bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT div(units::numeric * price + 500000, 1000000)::bigint
$$;

-- The largest number of units, at most `wanted`, whose cost is at most `amount`.
CREATE FUNCTION billing_ledger.affordable_units(amount bigint, price bigint, wanted bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE
        WHEN amount < 0 THEN 0
        WHEN price = 0 THEN wanted
        WHEN amount = 0 THEN 0
        ELSE least(wanted, greatest(0, div((amount::numeric + 1) * 1000000 - 500001, price)))::bigint
    END
$$;

-- Decides a batch of wishes in their order; core/admission.py says the same in Python and is what tests compare with.
--
-- p_accounts, p_keys: distinct, ascending. p_spend_keys, p_spend_windows: distinct pairs whose spend a limit needs.
-- The rest has one element per wish, generation ids distinct; *_at point into the lists above, p_spend_at is NULL for
-- a key without a limit. p_needs is the cost of the whole wish.
-- outcomes: 1 granted, 2 capped, 3 refused for credit, 4 refused for the key's limit, 5 settled before.
-- tokens: what was granted, or what could be afforded.
CREATE FUNCTION billing_ledger.hold(
    p_accounts text[], p_keys text[], p_spend_keys text[], p_spend_windows text[],
    p_generation_ids text[], p_account_at int[], p_key_at int[], p_owners text[],
    p_needs bigint[], p_fixed bigint[], p_prices bigint[], p_tokens bigint[], p_minimums bigint[],
    p_limits bigint[], p_spend_at int[],
    OUT outcomes smallint[], OUT amounts bigint[], OUT tokens bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    wishes CONSTANT int := cardinality(p_generation_ids);
    balances bigint[] := array_fill(0::bigint, ARRAY[cardinality(p_accounts)]);
    holds bigint[] := balances;
    account_deltas bigint[] := balances;
    key_deltas bigint[] := array_fill(0::bigint, ARRAY[cardinality(p_keys)]);
    key_holds bigint[];
    spends bigint[];
    known_ids text[];
    known_amounts bigint[];
    known_tokens bigint[];
    settled_ids text[];
    account record;
    at int := 1;
    key_at int;
    place int;
    need bigint;
    available bigint;
    key_room bigint;
    room bigint;
    affordable bigint;
    granted int := 0;
BEGIN
    outcomes := array_fill(1::smallint, ARRAY[wishes]);
    amounts := p_needs;
    tokens := p_tokens;
    FOR account IN
        SELECT a.id, a.credited_nano_usd - a.used_nano_usd AS balance, a.held_nano_usd AS held
        FROM billing_ledger.accounts a WHERE a.id = ANY (p_accounts) ORDER BY a.id FOR UPDATE
    LOOP
        WHILE p_accounts[at] <> account.id LOOP
            at := at + 1;
        END LOOP;
        balances[at] := account.balance;
        holds[at] := account.held;
    END LOOP;

    SELECT array_agg(h.generation_id), array_agg(h.amount_nano_usd), array_agg(h.tokens)
        INTO known_ids, known_amounts, known_tokens
        FROM billing_ledger.holds h WHERE h.generation_id = ANY (p_generation_ids);
    SELECT array_agg(s.generation_id) INTO settled_ids
        FROM billing_ledger.settlements s WHERE s.generation_id = ANY (p_generation_ids);
    IF cardinality(p_spend_keys) > 0 THEN
        SELECT array_agg(coalesce(k.held_nano_usd, 0) ORDER BY t.n) INTO key_holds
            FROM unnest(p_keys) WITH ORDINALITY t (key_hash, n)
            LEFT JOIN billing_ledger.keys k ON k.key_hash = t.key_hash;
        SELECT array_agg(
                   CASE t.time_window WHEN 'total' THEN coalesce(k.spent_nano_usd, 0) ELSE coalesce(s.spent_nano_usd, 0) END
                   ORDER BY t.n
               ) INTO spends
            FROM unnest(p_spend_keys, p_spend_windows) WITH ORDINALITY t (key_hash, time_window, n)
            LEFT JOIN billing_ledger.keys k ON k.key_hash = t.key_hash
            LEFT JOIN billing_ledger.key_spend s ON s.key_hash = t.key_hash AND s.time_window = t.time_window;
    END IF;

    FOR i IN 1 .. wishes LOOP
        IF settled_ids IS NOT NULL AND p_generation_ids[i] = ANY (settled_ids) THEN
            outcomes[i] := 5;
            tokens[i] := 0;
            CONTINUE;
        END IF;
        IF known_ids IS NOT NULL THEN
            place := array_position(known_ids, p_generation_ids[i]);
            IF place IS NOT NULL THEN
                outcomes[i] := CASE WHEN known_tokens[place] < p_tokens[i] THEN 2 ELSE 1 END;
                amounts[i] := known_amounts[place];
                tokens[i] := known_tokens[place];
                p_generation_ids[i] := NULL;
                CONTINUE;
            END IF;
        END IF;
        at := p_account_at[i];
        key_at := p_key_at[i];
        need := p_needs[i];
        available := balances[at] - holds[at];
        room := available;
        key_room := NULL;
        IF p_spend_at[i] IS NOT NULL THEN
            key_room := p_limits[i] - spends[p_spend_at[i]] - key_holds[key_at] - key_deltas[key_at];
            room := least(available, key_room);
        END IF;
        IF balances[at] <= 0 THEN
            outcomes[i] := 3;
            tokens[i] := 0;
            CONTINUE;
        END IF;
        IF (need > available AND need > 0) OR need > key_room THEN
            affordable := billing_ledger.affordable_units(room - p_fixed[i], p_prices[i], p_tokens[i]);
            tokens[i] := affordable;
            IF room < p_fixed[i] OR affordable < greatest(p_minimums[i], 1) OR p_minimums[i] >= p_tokens[i] THEN
                outcomes[i] := CASE WHEN key_room < available THEN 4 ELSE 3 END;
                CONTINUE;
            END IF;
            outcomes[i] := 2;
            need := p_fixed[i] + billing_ledger.cost(affordable, p_prices[i]);
            amounts[i] := need;
        END IF;
        granted := granted + 1;
        holds[at] := holds[at] + need;
        account_deltas[at] := account_deltas[at] + need;
        key_deltas[key_at] := key_deltas[key_at] + need;
    END LOOP;
    IF granted = 0 THEN
        RETURN;
    END IF;

    UPDATE billing_ledger.accounts a SET held_nano_usd = a.held_nano_usd + t.delta
        FROM unnest(p_accounts, account_deltas) t (id, delta) WHERE a.id = t.id AND t.delta <> 0;
    INSERT INTO billing_ledger.holds (generation_id, account_id, key_hash, owner, amount_nano_usd, tokens)
        SELECT t.generation_id, p_accounts[t.account_at], p_keys[t.key_at], t.owner, t.amount, t.tokens
        FROM unnest(p_generation_ids, p_account_at, p_key_at, p_owners, amounts, tokens, outcomes)
            t (generation_id, account_at, key_at, owner, amount, tokens, outcome)
        WHERE t.outcome <= 2 AND t.generation_id IS NOT NULL;
    INSERT INTO billing_ledger.keys AS k (key_hash, held_nano_usd)
        SELECT t.key_hash, t.delta FROM unnest(p_keys, key_deltas) t (key_hash, delta) WHERE t.delta <> 0
        ON CONFLICT (key_hash) DO UPDATE SET held_nano_usd = k.held_nano_usd + excluded.held_nano_usd;
END $$;

-- Gives holds back; returns how many there were.
CREATE FUNCTION billing_ledger.void(p_generation_ids text[]) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    involved text[];
    voided int;
BEGIN
    SELECT array_agg(DISTINCT h.account_id) INTO involved
        FROM billing_ledger.holds h WHERE h.generation_id = ANY (p_generation_ids);
    IF involved IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM FROM billing_ledger.accounts a WHERE a.id = ANY (involved) ORDER BY a.id FOR UPDATE;
    WITH gone AS (
        DELETE FROM billing_ledger.holds h WHERE h.generation_id = ANY (p_generation_ids) AND h.account_id = ANY (involved)
        RETURNING h.account_id, h.key_hash, h.amount_nano_usd
    ), released AS (
        UPDATE billing_ledger.accounts a SET held_nano_usd = a.held_nano_usd - g.amount
        FROM (SELECT account_id, sum(amount_nano_usd)::bigint AS amount FROM gone GROUP BY account_id) g
        WHERE a.id = g.account_id
    ), released_keys AS (
        UPDATE billing_ledger.keys k SET held_nano_usd = k.held_nano_usd - g.amount
        FROM (SELECT key_hash, sum(amount_nano_usd)::bigint AS amount FROM gone GROUP BY key_hash) g
        WHERE k.key_hash = g.key_hash
    )
    SELECT count(*) INTO voided FROM gone;
    RETURN voided;
END $$;

-- Voids at most p_limit holds that nobody will settle: their owner's lease ended more than p_grace_s ago (an owner that
-- never renewed had one from the hold on), or they are older than p_max_age_s. Returns how many.
CREATE FUNCTION billing_ledger.sweep(p_lease_s float8, p_grace_s float8, p_max_age_s float8, p_limit int)
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    stale text[];
BEGIN
    DELETE FROM billing_ledger.hold_owners o
        WHERE o.lease_until < now() - make_interval(secs => p_grace_s + p_max_age_s);
    SELECT array_agg(s.generation_id) INTO stale FROM (
        SELECT h.generation_id
        FROM billing_ledger.holds h LEFT JOIN billing_ledger.hold_owners o ON o.owner = h.owner
        WHERE greatest(o.lease_until, h.held_at + make_interval(secs => p_lease_s)) < now() - make_interval(secs => p_grace_s)
            OR h.held_at < now() - make_interval(secs => p_max_age_s)
        LIMIT p_limit
    ) s;
    IF stale IS NULL THEN
        RETURN 0;
    END IF;
    RETURN billing_ledger.void(stale);
END $$;
