-- Accounts and sessions; products, stock, sales and lots.

-- Enough to recognise one's own login, too little to learn somebody else's.
CREATE FUNCTION masked(login text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN login LIKE '%@%' THEN left(login, 1) || '***' || substring(login FROM '@.*$')
                ELSE left(login, 3) || '****' || right(login, 2) END
$$;

CREATE FUNCTION account_insert(id bigint, name text, hash text, now bigint)
    RETURNS TABLE (user_id bigint, login text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO account (user_id, login, password, created_at)
    VALUES (id, name, hash, time_of(now)) ON CONFLICT (user_id) DO NOTHING;
    IF FOUND THEN
        INSERT INTO outbox (notice, user_id, created_at, next_at)
        VALUES (1, id, time_of(now), time_of(now));
    ELSIF NOT EXISTS (SELECT FROM account a WHERE a.user_id = id AND a.login = name) THEN
        PERFORM refuse('duplicate');
    END IF;
    RETURN QUERY SELECT id, masked(name);
END $$;

-- What session_row needs.
CREATE VIEW session_rows AS
    SELECT s.session_id, s.user_id, a.roles, us_of(s.expires_at) AS expires_at, a.state
      FROM session s JOIN account a USING (user_id);

CREATE FUNCTION session_insert(id bigint, owner bigint, hash bytea, now bigint, until bigint)
    RETURNS SETOF session_rows LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO session (session_id, user_id, refresh_hash, rotated_at, created_at, expires_at)
    VALUES (id, owner, hash, time_of(now), time_of(now), time_of(until))
    ON CONFLICT (session_id) DO NOTHING;
    UPDATE account SET failures = 0, locked_until = NULL
     WHERE user_id = owner AND (failures > 0 OR locked_until IS NOT NULL);
    RETURN QUERY SELECT * FROM session_rows r WHERE r.session_id = id;
END $$;

-- login_again must not be raised: the session that is ended here has to stay ended.
CREATE FUNCTION session_rotate(old_hash bytea, new_hash bytea, now bigint, idle_since bigint,
                               grace_since bigint)
    RETURNS TABLE (session_id bigint, user_id bigint, roles integer, expires_at bigint,
                   state smallint, problem text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    s     session;
    owner bigint;
    at    timestamptz := time_of(now);
BEGIN
    SELECT x.session_id INTO owner FROM session x WHERE x.refresh_hash = old_hash;
    IF NOT FOUND THEN
        SELECT x.session_id INTO owner FROM session_spent x WHERE x.hash = old_hash;
    END IF;
    SELECT * INTO s FROM session x WHERE x.session_id = owner FOR UPDATE;
    IF s.session_id IS NULL OR s.ended_at IS NOT NULL OR s.expires_at <= at
       OR s.rotated_at < time_of(idle_since) THEN
        RETURN QUERY SELECT coalesce(s.session_id, 0), 0::bigint, 0, 0::bigint, 0::smallint,
                            'login_again';
        RETURN;
    END IF;
    IF s.refresh_hash = new_hash AND s.previous_hash = old_hash THEN
        NULL; -- The same request again: its answer was lost.
    ELSIF s.refresh_hash = old_hash
          OR (s.previous_hash = old_hash AND s.rotated_at > time_of(grace_since)) THEN
        UPDATE session x SET refresh_hash = new_hash, rotated_at = at,
               previous_hash = CASE WHEN s.refresh_hash = old_hash THEN old_hash END
         WHERE x.session_id = s.session_id;
        INSERT INTO session_spent (hash, session_id, spent_at)
        VALUES (s.refresh_hash, s.session_id, at) ON CONFLICT DO NOTHING;
    ELSE
        UPDATE session x SET ended_at = at WHERE x.session_id = s.session_id;
        RETURN QUERY SELECT s.session_id, s.user_id, 0, 0::bigint, 0::smallint, 'login_again';
        RETURN;
    END IF;
    RETURN QUERY SELECT r.*, NULL::text FROM session_rows r WHERE r.session_id = s.session_id;
END $$;

CREATE FUNCTION ticket_facts(users bigint[], sessions bigint[], lots bigint[])
    RETURNS TABLE (n integer, user_id bigint, session_id bigint, lot_id bigint, state smallint,
                   held bigint, cancels bigint) LANGUAGE sql STABLE AS $$
    SELECT r.n::integer, r.user_id, coalesce(s.session_id, 0), r.lot_id,
           coalesce(a.state, 2)::smallint, h.held, h.cancels
      FROM unnest(users, sessions, lots) WITH ORDINALITY AS r(user_id, session_id, lot_id, n)
      LEFT JOIN account a ON a.user_id = r.user_id
      LEFT JOIN session s ON s.session_id = r.session_id AND s.user_id = r.user_id
                         AND s.ended_at IS NULL
      LEFT JOIN lot l ON l.lot_id = r.lot_id
     CROSS JOIN LATERAL (
        SELECT coalesce(sum(o.quantity) FILTER (WHERE o.lot_id = r.lot_id
                                                  AND holds_units(o.state)), 0) AS held,
               count(*) FILTER (WHERE o.state = 7 AND EXISTS (
                   SELECT FROM lot x WHERE x.lot_id = o.lot_id AND x.sale_id = l.sale_id)) AS cancels
          FROM orders o WHERE o.user_id = r.user_id) h
     ORDER BY r.n
$$;

CREATE VIEW lot_rows AS
    SELECT l.lot_id, l.sku_id, p.title || ' ' || k.title AS title, l.price, l.currency,
           l.allocated, l.allocated - l.sold AS available, l.per_buyer_limit, l.sale_id, l.shard,
           l.state, l.sold, l.price_version, l.version
      FROM lot l JOIN sku k USING (sku_id) JOIN product p USING (product_id);

CREATE VIEW sale_rows AS
    SELECT sale_id, title, state, us_of(opens_at) AS opens_at, us_of(closes_at) AS closes_at,
           NULL::text AS lots, pay_window_us AS pay_window, version
      FROM sale;

CREATE VIEW stock_rows AS
    SELECT g.sku_id, g.on_hand,
           (SELECT coalesce(sum(l.allocated), 0) FROM lot l
             WHERE l.sku_id = g.sku_id AND l.state <> 5) AS in_sales
      FROM general_stock g;

CREATE FUNCTION sku_add(product bigint, name text, id bigint) RETURNS SETOF sku LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM product p WHERE p.product_id = product) THEN
        PERFORM refuse('not_found', 'There is no such product.', 'product_id');
    END IF;
    INSERT INTO sku VALUES (id, product, name) ON CONFLICT DO NOTHING;
    INSERT INTO general_stock (sku_id) VALUES (id) ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT * FROM sku s WHERE s.sku_id = id;
END $$;

CREATE FUNCTION stock_receive(sku bigint, quantity bigint, movement bigint, now bigint)
    RETURNS SETOF stock_rows LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
BEGIN
    SELECT g.on_hand INTO before FROM general_stock g WHERE g.sku_id = sku FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse('not_found', 'There is no such SKU.', 'sku_id');
    END IF;
    IF NOT EXISTS (SELECT FROM stock_movement m
                    WHERE m.reference = movement AND m.counter = 'general') THEN
        IF before + quantity > 1000000000 THEN
            PERFORM refuse('out_of_range', 'General stock would be too large.', 'quantity');
        END IF;
        UPDATE general_stock g SET on_hand = before + quantity WHERE g.sku_id = sku;
        INSERT INTO stock_movement (counter, sku_id, before, after, change, reason, reference, at)
        VALUES ('general', sku, before, before + quantity, quantity, 'receive',
                nullif(movement, 0), time_of(now));
    END IF;
    RETURN QUERY SELECT * FROM stock_rows s WHERE s.sku_id = sku;
END $$;

CREATE FUNCTION sale_create(name text, opens bigint, closes bigint, pay_window bigint, id bigint)
    RETURNS SETOF sale_rows LANGUAGE plpgsql AS $$
BEGIN
    IF closes <= opens THEN
        PERFORM refuse('out_of_range', 'A sale closes after it has opened.', 'closes_at');
    END IF;
    INSERT INTO sale (sale_id, title, opens_at, closes_at, pay_window_us)
    VALUES (id, name, time_of(opens), time_of(closes),
            coalesce(nullif(pay_window, 0), 900000000))
    ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT * FROM sale_rows s WHERE s.sale_id = id;
END $$;

-- Units move out of general stock into the sale, in this one transaction.
CREATE FUNCTION lot_add(sale_of bigint, sku bigint, units bigint, unit_price bigint, money text,
                        buyer_limit integer, id bigint, k integer, movement bigint, now bigint)
    RETURNS SETOF lot_rows LANGUAGE plpgsql AS $$
DECLARE
    s    sale;
    have bigint;
BEGIN
    SELECT * INTO s FROM sale x WHERE x.sale_id = sale_of FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse('not_found', 'There is no such sale.', 'sale_id');
    END IF;
    IF EXISTS (SELECT FROM lot l WHERE l.lot_id = id) THEN
        RETURN QUERY SELECT * FROM lot_rows r WHERE r.lot_id = id;
        RETURN;
    END IF;
    -- Also keeps two sales from taking the same SKU at once.
    SELECT g.on_hand INTO have FROM general_stock g WHERE g.sku_id = sku FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse('not_found', 'There is no such SKU.', 'sku_id');
    ELSIF s.state <> 1 THEN
        PERFORM refuse('illegal_state', 'Lots are added to a draft.');
    ELSIF have < units THEN
        PERFORM refuse('stock_short', format('General stock has %s units.', have), 'quantity');
    ELSIF EXISTS (SELECT FROM lot l JOIN sale x ON x.sale_id = l.sale_id
                   WHERE l.sku_id = sku AND x.sale_id <> sale_of AND x.state <= 6
                     AND x.opens_at < s.closes_at AND s.opens_at < x.closes_at) THEN
        PERFORM refuse('sku_on_sale', 'Another sale has this SKU at that time.', 'sku_id');
    END IF;
    INSERT INTO lot (lot_id, sale_id, sku_id, shard, allocated, price, currency, per_buyer_limit,
                     pay_window_us, rid_after)
    SELECT id, sale_of, sku, k, units, unit_price, money, coalesce(nullif(buyer_limit, 0), 1),
           s.pay_window_us,
           coalesce((SELECT max(o.rid) FROM orders o
                      WHERE o.rid >= k::bigint << 56 AND o.rid <= shard_last(k)), k::bigint << 56);
    UPDATE general_stock g SET on_hand = have - units WHERE g.sku_id = sku;
    INSERT INTO stock_movement (counter, sku_id, lot_id, before, after, change, reason, reference,
                                at)
    VALUES ('general', sku, NULL, have, have - units, -units, 'allocate', nullif(movement, 0),
            time_of(now)),
           ('allocated', sku, id, 0, units, units, 'allocate', nullif(movement, 0), time_of(now));
    UPDATE sale x SET version = version + 1 WHERE x.sale_id = sale_of;
    RETURN QUERY SELECT * FROM lot_rows r WHERE r.lot_id = id;
END $$;

CREATE FUNCTION sale_move(id bigint, target integer, now bigint) RETURNS SETOF sale_rows
    LANGUAGE plpgsql AS $$
DECLARE
    s    sale;
    step sale_step;
BEGIN
    SELECT * INTO s FROM sale x WHERE x.sale_id = id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse('not_found', 'There is no such sale.', 'sale_id');
    END IF;
    IF s.state <> target THEN
        SELECT * INTO step FROM sale_step x WHERE x.from_state = s.state AND x.to_state = target;
        IF NOT FOUND THEN
            PERFORM refuse('illegal_state', 'A sale in this state does not go there.', 'to');
        ELSIF target = 2 AND NOT EXISTS (SELECT FROM lot l WHERE l.sale_id = id) THEN
            PERFORM refuse('illegal_state', 'The sale has no lots.');
        END IF;
        UPDATE sale x SET state = target, version = version + 1 WHERE x.sale_id = id;
        PERFORM FROM lot l WHERE l.sale_id = id ORDER BY l.lot_id FOR UPDATE;
        UPDATE lot l SET state = step.lot_state, version = version + 1
         WHERE l.sale_id = id AND l.state <> step.lot_state;
        INSERT INTO sale_event (sale_id, from_state, to_state, at)
        VALUES (id, s.state, target, time_of(now));
    END IF;
    RETURN QUERY SELECT * FROM sale_rows r WHERE r.sale_id = id;
END $$;

-- draining -> settled, once: what was not sold goes back to general stock.
CREATE FUNCTION sale_settle(id bigint, now bigint) RETURNS SETOF sale_rows LANGUAGE plpgsql AS $$
DECLARE
    s    sale;
    l    lot;
    have bigint;
    left_over bigint;
BEGIN
    SELECT * INTO s FROM sale x WHERE x.sale_id = id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse('not_found', 'There is no such sale.', 'sale_id');
    ELSIF s.state = 8 THEN
        PERFORM FROM lot x WHERE x.sale_id = id ORDER BY x.lot_id FOR UPDATE;
        FOR l IN SELECT * FROM lot x WHERE x.sale_id = id ORDER BY x.sku_id, x.lot_id LOOP
            IF EXISTS (SELECT FROM orders o
                        WHERE o.rid > l.rid_after AND o.rid <= shard_last(l.shard)
                          AND o.lot_id = l.lot_id AND o.state IN (2, 3)) THEN
                PERFORM refuse('illegal_state', 'Unpaid orders are left.');
            END IF;
            left_over := l.allocated - l.sold;
            UPDATE lot x SET state = 5, allocated = x.sold, version = x.version + 1
             WHERE x.lot_id = l.lot_id;
            CONTINUE WHEN left_over = 0;
            UPDATE general_stock g SET on_hand = g.on_hand + left_over WHERE g.sku_id = l.sku_id
            RETURNING g.on_hand INTO have;
            INSERT INTO stock_movement (counter, sku_id, lot_id, before, after, change, reason, at)
            VALUES ('allocated', l.sku_id, l.lot_id, l.allocated, l.sold, -left_over, 'settle',
                    time_of(now)),
                   ('general', l.sku_id, NULL, have - left_over, have, left_over, 'settle',
                    time_of(now));
        END LOOP;
        UPDATE sale x SET state = 9, version = version + 1 WHERE x.sale_id = id;
        INSERT INTO sale_event (sale_id, from_state, to_state, at) VALUES (id, 8, 9, time_of(now));
    ELSIF s.state NOT IN (9, 10) THEN
        PERFORM refuse('illegal_state', 'Only a sale that is draining is settled.');
    END IF;
    RETURN QUERY SELECT * FROM sale_rows r WHERE r.sale_id = id;
END $$;

CREATE FUNCTION worker_lease(wanted integer, who text, now bigint, lease_end bigint)
    RETURNS SETOF smallint LANGUAGE plpgsql AS $$
DECLARE
    got integer;
BEGIN
    LOCK TABLE worker_lease IN EXCLUSIVE MODE;
    SELECT w INTO got FROM generate_series(0, 1023) w LEFT JOIN worker_lease x ON x.worker = w
     WHERE wanted IN (-1, w) AND (x.worker IS NULL OR x.holder = who OR x.until <= time_of(now))
     ORDER BY (x.holder = who) DESC NULLS LAST, x.until NULLS FIRST, w LIMIT 1;
    IF NOT FOUND THEN
        PERFORM refuse('unavailable', 'The worker id is leased to somebody else.', 'worker');
    END IF;
    INSERT INTO worker_lease VALUES (got, who, time_of(lease_end))
    ON CONFLICT (worker) DO UPDATE SET holder = excluded.holder, until = excluded.until;
    RETURN NEXT got;
END $$;
