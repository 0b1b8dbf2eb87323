-- The writer's one commit: purchase_batch.  READ COMMITTED and VOLATILE: every statement in here
-- sees what was committed before it began, so what is read after a lock was taken is true (H5).

CREATE TYPE decision AS (
    n integer, rid bigint, outcome smallint, reason integer, order_id bigint, user_id bigint,
    lot_id bigint, quantity integer, state smallint, price bigint, currency text, pay_by bigint,
    created_at bigint, order_rid bigint, alarm integer);

-- Locks the shards of these rids; returns rid >> 36 of the epochs that are good.
CREATE FUNCTION epochs_lock(rids bigint[]) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    good bigint[] := '{}';
    one  record;
BEGIN
    FOR one IN SELECT s.shard, s.epoch FROM stock_shard s
                WHERE s.shard IN (SELECT DISTINCT r >> 56 FROM unnest(rids) r)
                ORDER BY s.shard FOR SHARE LOOP
        good := good || (one.shard::bigint << 20 | one.epoch);
    END LOOP;
    RETURN good;
END $$;

-- One UPDATE, one movement and one outbox row for each lot of these new orders.  plpgsql, because the
-- plans of a function in SQL are made anew at every call.
CREATE FUNCTION purchase_account(rids bigint[], order_ids bigint[], lots bigint[],
                                 quantities integer[], at timestamptz) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    WITH taken AS (
        SELECT u.lot_id, sum(u.quantity) AS units, min(u.rid) AS low, max(u.rid) AS high,
               array_agg(u.order_id) AS orders
          FROM unnest(rids, order_ids, lots, quantities) AS u(rid, order_id, lot_id, quantity)
         GROUP BY u.lot_id
    ), changed AS (
        UPDATE lot l SET sold = l.sold + t.units, version = l.version + 1
          FROM taken t WHERE l.lot_id = t.lot_id
        RETURNING l.lot_id, l.sku_id, l.sold AS after, t.units, t.low, t.high
    ), moved AS (
        INSERT INTO stock_movement (counter, sku_id, lot_id, before, after, change, reason,
                                    first_rid, last_rid, at)
        SELECT 'sold', c.sku_id, c.lot_id, c.after - c.units, c.after, c.units, 'purchase',
               c.low, c.high, purchase_account.at FROM changed c
    )
    INSERT INTO outbox (notice, orders, created_at, next_at)
    SELECT 2, t.orders, purchase_account.at, purchase_account.at FROM taken t;
END $$;

-- Everything new, everything fits: one INSERT.  False, and nothing done, when it is not so.
CREATE FUNCTION purchase_all(rids bigint[], order_ids bigint[], users bigint[], lots bigint[],
                             quantities integer[], price_versions bigint[], addresses text[],
                             nows bigint[]) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM orders o WHERE o.order_id = ANY (order_ids))
       OR EXISTS (SELECT FROM refusal f WHERE f.rid = ANY (rids))
       OR (SELECT count(DISTINCT x) FROM unnest(order_ids) x) < cardinality(order_ids)
       OR (SELECT count(DISTINCT x) FROM unnest(rids) x) < cardinality(rids) THEN
        RETURN false;
    END IF;
    -- Per lot the shard, the state, the units and the price; then per buyer and lot the limit.
    IF EXISTS (
        SELECT FROM (SELECT u.lot_id, sum(u.quantity) AS units, min(u.rid) >> 56 AS low,
                            max(u.rid) >> 56 AS high, min(nullif(u.version, 0)) AS old,
                            max(u.version) AS new
                       FROM unnest(lots, quantities, price_versions, rids)
                            AS u(lot_id, quantity, version, rid)
                      GROUP BY u.lot_id) p
          LEFT JOIN lot l ON l.lot_id = p.lot_id
         WHERE l.lot_id IS NULL OR l.shard <> p.low OR l.shard <> p.high OR l.state = 5
            OR l.sold + p.units > l.allocated
            OR coalesce(p.old, l.price_version) <> l.price_version
            OR p.new NOT IN (0, l.price_version))
       OR EXISTS (
        SELECT FROM (SELECT u.lot_id, u.user_id, u.quantity
                       FROM unnest(lots, users, quantities) AS u(lot_id, user_id, quantity)
                     UNION ALL
                     SELECT o.lot_id, o.user_id, o.quantity FROM orders o
                      WHERE o.user_id = ANY (users) AND holds_units(o.state)) h
          JOIN lot l ON l.lot_id = h.lot_id
         GROUP BY h.lot_id, h.user_id, l.per_buyer_limit
        HAVING sum(h.quantity) > l.per_buyer_limit) THEN
        RETURN false;
    END IF;
    INSERT INTO orders (order_id, rid, user_id, lot_id, price, created_at, pay_by, shard, state,
                        quantity, currency, address)
    SELECT r.order_id, r.rid, r.user_id, r.lot_id, l.price, time_of(r.now),
           time_of(r.now + l.pay_window_us), l.shard, 2, r.quantity, l.currency, r.address
      FROM unnest(rids, order_ids, users, lots, quantities, addresses, nows)
           AS r(rid, order_id, user_id, lot_id, quantity, address, now)
      JOIN lot l ON l.lot_id = r.lot_id;
    PERFORM purchase_account(rids, order_ids, lots, quantities, time_of(nows[1]));
    RETURN true;
END $$;

-- Late money that may get a unit again: the order moves expired -> paid under the new rid.
-- Returns 0, or the problem.
CREATE FUNCTION purchase_late(new_rid bigint, o orders, l lot, free bigint, at timestamptz)
    RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    money bigint;
BEGIN
    SELECT p.payment_id INTO money FROM payment p
     WHERE p.order_id = o.order_id AND p.state = 3
       AND NOT EXISTS (SELECT FROM refund f WHERE f.payment_id = p.payment_id)
     ORDER BY p.payment_id LIMIT 1 FOR UPDATE;
    IF l.state = 5 THEN RETURN 2006; END IF; -- sale_closed
    IF o.quantity > free THEN RETURN 2010; END IF; -- sold_out
    IF o.state <> 8 OR money IS NULL THEN RETURN 2101; END IF; -- illegal_state
    UPDATE orders SET state = 4, rid = new_rid WHERE order_id = o.order_id;
    UPDATE payment SET todo = 0, touched_at = at WHERE payment_id = money;
    UPDATE lot SET sold = sold + o.quantity, version = version + 1 WHERE lot_id = l.lot_id;
    INSERT INTO stock_movement (counter, sku_id, lot_id, before, after, change, reason, first_rid,
                                last_rid, at)
    SELECT 'sold', sku_id, lot_id, sold - o.quantity, sold, o.quantity, 'late', new_rid, new_rid,
           purchase_late.at FROM lot WHERE lot_id = l.lot_id;
    INSERT INTO order_event (order_id, from_state, to_state, reference, at)
    VALUES (o.order_id, 8, 4, new_rid, at);
    INSERT INTO outbox (notice, user_id, order_id, created_at, next_at)
    VALUES (3, o.user_id, o.order_id, at, at);
    RETURN 0;
END $$;

-- What PostgreSQL already knows of a reservation: its own outcome (2 same, 3 dup), 4 with a reason,
-- or 0 when it is new.
CREATE FUNCTION purchase_known(r_rid bigint, r_user bigint, r_lot bigint, r_quantity integer,
                               r_kind integer, r_address text, o orders, OUT outcome integer,
                               OUT reason integer) LANGUAGE plpgsql AS $$
BEGIN
    SELECT f.reason INTO reason FROM refusal f WHERE f.rid = r_rid;
    IF FOUND THEN
        outcome := 2;
        RETURN;
    END IF;
    reason := 0;
    outcome := 0;
    IF o.order_id IS NULL THEN RETURN; END IF;
    IF o.user_id <> r_user OR o.lot_id <> r_lot OR o.quantity <> r_quantity
       OR (r_kind <> 2 AND o.address <> r_address) THEN
        outcome := 4;
        reason := 2001; -- duplicate
    ELSIF o.rid = r_rid THEN
        outcome := 2;
    ELSIF r_kind <> 2 OR o.state <> 8 THEN
        outcome := 3;
        IF r_kind = 2 AND o.state IN (7, 10) THEN -- The money goes back, not the order.
            outcome := 4;
            reason := 2101; -- illegal_state
        END IF;
    END IF;
END $$;

-- Something is known, short or old: row by row in rid order, each row that fits.
CREATE FUNCTION purchase_each(rids bigint[], order_ids bigint[], users bigint[], lots bigint[],
                              quantities integer[], kinds integer[], price_versions bigint[],
                              addresses text[], nows bigint[], epochs bigint[])
    RETURNS SETOF decision LANGUAGE plpgsql AS $$
DECLARE
    r        record;
    o        orders;
    l        lot;
    d        decision;
    held     bigint;
    accepted bigint[] := '{}';
    seen     bigint[]; -- Lots touched in this batch, and the units taken from each.
    taken    bigint[];
    place    integer;
BEGIN
    PERFORM FROM orders x WHERE x.order_id = ANY (order_ids) ORDER BY x.order_id FOR UPDATE;
    SELECT array_agg(DISTINCT x) INTO seen FROM unnest(lots) x;
    taken := array_fill(0, ARRAY[cardinality(seen)]);
    FOR r IN SELECT * FROM unnest(rids, order_ids, users, lots, quantities, kinds, price_versions,
                                  addresses, nows) WITH ORDINALITY
                    AS t(rid, order_id, user_id, lot_id, quantity, kind, version, address, now, n)
              ORDER BY t.rid, t.n LOOP
        d := (r.n, r.rid, 0, 0, r.order_id, r.user_id, r.lot_id, r.quantity, 0, 0, '', 0, 0, 0, 0);
        IF r.rid >> 36 <> ALL (epochs) THEN d.outcome := 5; END IF; -- guard: no_epoch_check
        IF d.outcome = 5 THEN
            RETURN NEXT d;
            CONTINUE;
        END IF;
        SELECT * INTO o FROM orders x WHERE x.order_id = r.order_id;
        SELECT * INTO l FROM lot x WHERE x.lot_id = r.lot_id;
        place := array_position(seen, r.lot_id);
        SELECT k.outcome, k.reason INTO d.outcome, d.reason
          FROM purchase_known(r.rid, r.user_id, r.lot_id, r.quantity, r.kind, r.address, o) k;
        IF d.outcome = 0 AND r.kind = 2 THEN
            d.reason := CASE WHEN o.order_id IS NULL THEN 1101 ELSE
                purchase_late(r.rid, o, l, l.allocated - l.sold - taken[place], time_of(r.now)) END;
            d.outcome := CASE WHEN d.reason = 0 THEN 1 ELSE 4 END;
        ELSIF d.outcome = 0 THEN
            SELECT coalesce(sum(x.quantity), 0) INTO held FROM orders x
             WHERE x.user_id = r.user_id AND x.lot_id = r.lot_id AND holds_units(x.state);
            d.reason := CASE
                WHEN l.lot_id IS NULL OR l.shard <> r.rid >> 56 THEN 2002 -- not_on_sale
                WHEN r.version NOT IN (0, l.price_version) THEN 2003 -- price_changed
                WHEN l.state = 5 THEN 2006 -- sale_closed
                WHEN r.kind = 1 AND held + r.quantity > l.per_buyer_limit THEN 2008 -- limit_reached
                WHEN l.sold + taken[place] + r.quantity > l.allocated THEN 2010 -- sold_out
                ELSE 0 END;
            d.outcome := CASE WHEN d.reason = 0 THEN 1 ELSE 4 END;
            d.alarm := CASE WHEN d.reason = 2010 AND r.kind = 1 THEN 1 ELSE 0 END;
            IF d.outcome = 1 THEN
                INSERT INTO orders (order_id, rid, user_id, lot_id, price, created_at, pay_by,
                                    shard, state, quantity, currency, address)
                VALUES (r.order_id, r.rid, r.user_id, r.lot_id, l.price, time_of(r.now),
                        time_of(r.now + l.pay_window_us), l.shard, 2, r.quantity, l.currency,
                        r.address);
                accepted := accepted || r.rid;
                taken[place] := taken[place] + r.quantity;
            END IF;
        END IF;
        -- Every decision is kept, or a row that comes back might hear another one (H2).
        IF d.outcome = 4 AND (o.rid IS NULL OR o.rid <> r.rid) THEN
            INSERT INTO refusal (rid, order_id, user_id, lot_id, quantity, reason, decided_at)
            VALUES (r.rid, r.order_id, r.user_id, r.lot_id, r.quantity, d.reason, time_of(r.now));
        END IF;
        IF d.reason = 0 THEN
            SELECT x.user_id, x.lot_id, x.quantity, x.state, x.price, x.currency, us_of(x.pay_by),
                   us_of(x.created_at), x.rid
              INTO d.user_id, d.lot_id, d.quantity, d.state, d.price, d.currency, d.pay_by,
                   d.created_at, d.order_rid
              FROM orders x WHERE x.order_id = r.order_id;
        END IF;
        RETURN NEXT d;
    END LOOP;
    IF accepted <> '{}' THEN
        PERFORM purchase_account(array_agg(y.rid), array_agg(y.order_id), array_agg(y.lot_id),
                                 array_agg(y.quantity::integer), time_of(nows[1]))
           FROM (SELECT * FROM orders x WHERE x.rid = ANY (accepted) ORDER BY x.rid) y;
    END IF;
END $$;

CREATE FUNCTION purchase_batch(rids bigint[], order_ids bigint[], users bigint[], lots bigint[],
                               quantities integer[], kinds integer[], price_versions bigint[],
                               addresses text[], nows bigint[])
    RETURNS SETOF decision LANGUAGE plpgsql
    -- A plan made while the tables are empty stays for as long as the connection.
    SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    epochs bigint[] := epochs_lock(rids);
    live   bigint[];
    usual  boolean := true;
BEGIN
    SELECT array_agg(DISTINCT u.lot_id) INTO live
      FROM unnest(rids, lots) AS u(rid, lot_id) WHERE u.rid >> 36 = ANY (epochs);
    PERFORM FROM lot l WHERE l.lot_id = ANY (live) ORDER BY l.lot_id FOR UPDATE;
    -- Only now, in later statements, look at orders and at what is left.
    usual := NOT EXISTS (SELECT FROM unnest(rids, kinds) AS u(rid, kind)
                          WHERE u.kind <> 1 OR u.rid >> 36 <> ALL (epochs));
    IF usual AND purchase_all(rids, order_ids, users, lots, quantities, price_versions, addresses,
                              nows) THEN
        RETURN QUERY
        SELECT u.n::integer, u.rid, 1::smallint, 0, u.order_id, u.user_id, u.lot_id, u.quantity,
               2::smallint, l.price, l.currency, u.now + l.pay_window_us, u.now, u.rid, 0
          FROM unnest(rids, order_ids, users, lots, quantities, nows) WITH ORDINALITY
               AS u(rid, order_id, user_id, lot_id, quantity, now, n)
          JOIN lot l ON l.lot_id = u.lot_id
         ORDER BY u.rid;
    ELSE
        RETURN QUERY SELECT * FROM purchase_each(rids, order_ids, users, lots, quantities, kinds,
                                                 price_versions, addresses, nows, epochs);
    END IF;
END $$;
