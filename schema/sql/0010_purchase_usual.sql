-- purchase_batch again, cheaper where everything is as usual: all rows of the shard's epoch, ordinary,
-- new, and fitting.  Measured with 256 rows: every further pass over the rows, probe per row and
-- column of the answer costs about as much as an index entry, so there is one pass over what came, one
-- over what the buyers hold, the INSERT with its three indexes, and the answer.
--   Known refusals are looked for in the range of the batch's rids: they are consecutive, or nearly.
--   Known orders collide in the INSERT; its subtransaction is undone.
-- Whatever is not as usual goes row by row through purchase_each, as before.

-- What the rows of a usual batch have in common.
CREATE TYPE purchase_sum AS (
    low bigint, high bigint, lot_low bigint, lot_high bigint, units bigint, most integer,
    version_low bigint, version_high bigint, first bigint, last bigint);

-- Does each buyer stay within each lot's limit, with what he holds?
CREATE FUNCTION purchase_within_limits(b purchase_sum, users bigint[], lots bigint[],
                                       quantities integer[]) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF b.lot_low = b.lot_high THEN
        RETURN NOT EXISTS (
            SELECT FROM (SELECT u.user_id, u.quantity
                           FROM unnest(users, quantities) AS u(user_id, quantity)
                         UNION ALL
                         SELECT o.user_id, o.quantity FROM orders o
                          WHERE o.user_id = ANY (users) AND o.lot_id = b.lot_low
                            AND holds_units(o.state)) h
             GROUP BY h.user_id
            HAVING sum(h.quantity) >
                   (SELECT l.per_buyer_limit FROM lot l WHERE l.lot_id = b.lot_low));
    END IF;
    RETURN NOT EXISTS (
        SELECT FROM (SELECT u.lot_id, u.user_id, u.quantity
                       FROM unnest(lots, users, quantities) AS u(lot_id, user_id, quantity)
                     UNION ALL
                     SELECT o.lot_id, o.user_id, o.quantity FROM orders o
                      WHERE o.user_id = ANY (users) AND o.lot_id BETWEEN b.lot_low AND b.lot_high
                        AND holds_units(o.state)) h
         GROUP BY h.lot_id, h.user_id
        HAVING sum(h.quantity) > (SELECT l.per_buyer_limit FROM lot l WHERE l.lot_id = h.lot_id));
END $$;

-- All rows are of one lot, which is locked.  False, and nothing done, when they do not all fit.
CREATE FUNCTION purchase_one_lot(b purchase_sum, l lot, rids bigint[], order_ids bigint[],
                                 users bigint[], quantities integer[], addresses text[],
                                 nows bigint[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    at timestamptz := time_of(b.first);
BEGIN
    IF l.lot_id IS NULL OR l.state = 5 OR l.shard <> b.low >> 56 OR l.sold + b.units > l.allocated
       OR b.most > l.per_buyer_limit OR coalesce(b.version_low, l.price_version) <> l.price_version
       OR b.version_high NOT IN (0, l.price_version)
       OR NOT purchase_within_limits(b, users, NULL, quantities) THEN
        RETURN false;
    END IF;
    IF b.first = b.last THEN
        INSERT INTO orders (order_id, rid, user_id, lot_id, price, created_at, pay_by, shard, state,
                            quantity, currency, address)
        SELECT r.order_id, r.rid, r.user_id, l.lot_id, l.price, at,
               time_of(b.first + l.pay_window_us), l.shard, 2, r.quantity, l.currency, r.address
          FROM unnest(rids, order_ids, users, quantities, addresses)
               AS r(rid, order_id, user_id, quantity, address);
    ELSE
        INSERT INTO orders (order_id, rid, user_id, lot_id, price, created_at, pay_by, shard, state,
                            quantity, currency, address)
        SELECT r.order_id, r.rid, r.user_id, l.lot_id, l.price, time_of(r.now),
               time_of(r.now + l.pay_window_us), l.shard, 2, r.quantity, l.currency, r.address
          FROM unnest(rids, order_ids, users, quantities, addresses, nows)
               AS r(rid, order_id, user_id, quantity, address, now);
    END IF;
    UPDATE lot x SET sold = x.sold + b.units, version = x.version + 1 WHERE x.lot_id = l.lot_id;
    INSERT INTO stock_movement (counter, sku_id, lot_id, before, after, change, reason, first_rid,
                                last_rid, at)
    VALUES ('sold', l.sku_id, l.lot_id, l.sold, l.sold + b.units, b.units, 'purchase', b.low,
            b.high, at);
    INSERT INTO outbox (notice, orders, created_at, next_at) VALUES (2, order_ids, at, at);
    RETURN true;
EXCEPTION WHEN unique_violation THEN
    RETURN false;
END $$;

-- The same for several lots, locked as well.
CREATE FUNCTION purchase_many_lots(b purchase_sum, rids bigint[], order_ids bigint[], users bigint[],
                                   lots bigint[], quantities integer[], price_versions bigint[],
                                   addresses text[], nows bigint[])
    RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT u.lot_id, sum(u.quantity) AS units, max(u.quantity) AS most,
                            min(nullif(u.version, 0)) AS old, max(u.version) AS new
                       FROM unnest(lots, quantities, price_versions)
                            AS u(lot_id, quantity, version)
                      GROUP BY u.lot_id) p
          LEFT JOIN lot l ON l.lot_id = p.lot_id
         WHERE l.lot_id IS NULL OR l.shard <> b.low >> 56 OR l.state = 5
            OR l.sold + p.units > l.allocated OR p.most > l.per_buyer_limit
            OR coalesce(p.old, l.price_version) <> l.price_version
            OR p.new NOT IN (0, l.price_version))
       OR NOT purchase_within_limits(b, users, lots, quantities) THEN
        RETURN false;
    END IF;
    INSERT INTO orders (order_id, rid, user_id, lot_id, price, created_at, pay_by, shard, state,
                        quantity, currency, address)
    SELECT r.order_id, r.rid, r.user_id, r.lot_id, l.price, time_of(r.now),
           time_of(r.now + l.pay_window_us), l.shard, 2, r.quantity, l.currency, r.address
      FROM unnest(rids, order_ids, users, lots, quantities, addresses, nows)
           AS r(rid, order_id, user_id, lot_id, quantity, address, now)
      JOIN lot l ON l.lot_id = r.lot_id;
    PERFORM purchase_account(rids, order_ids, lots, quantities, time_of(b.first));
    RETURN true;
EXCEPTION WHEN unique_violation THEN
    RETURN false;
END $$;

CREATE OR REPLACE FUNCTION purchase_batch(rids bigint[], order_ids bigint[], users bigint[],
                                          lots bigint[], quantities integer[], kinds integer[],
                                          price_versions bigint[], addresses text[], nows bigint[])
    RETURNS SETOF decision LANGUAGE plpgsql
    -- A plan made while the tables are empty stays for as long as the connection.
    SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    epochs bigint[] := epochs_lock(rids);
    b      purchase_sum;
    l      lot;
    usual  boolean;
BEGIN
    SELECT min(u.rid), max(u.rid), min(u.lot_id), max(u.lot_id), sum(u.quantity), max(u.quantity),
           min(nullif(u.version, 0)), max(u.version), min(u.now), max(u.now)
      INTO b
      FROM unnest(rids, lots, quantities, price_versions, nows)
           AS u(rid, lot_id, quantity, version, now);
    usual := b.low >> 36 = ALL (epochs) AND b.high >> 36 = ALL (epochs) AND epochs <> '{}'
             AND 1 = ALL (kinds);
    -- Rows whose epoch is over lock nothing.
    IF b.lot_low = b.lot_high AND usual THEN
        SELECT * INTO l FROM lot x WHERE x.lot_id = b.lot_low FOR UPDATE;
    ELSE
        PERFORM FROM lot x WHERE x.lot_id IN (
            SELECT u.lot_id FROM unnest(rids, lots) AS u(rid, lot_id)
             WHERE u.rid >> 36 = ANY (epochs)) ORDER BY x.lot_id FOR UPDATE;
    END IF;
    -- Only now, in later statements, look at orders and at what is left (H5).
    usual := usual AND NOT EXISTS (SELECT FROM refusal f WHERE f.rid BETWEEN b.low AND b.high);
    IF usual AND b.lot_low = b.lot_high THEN
        usual := purchase_one_lot(b, l, rids, order_ids, users, quantities, addresses, nows);
    ELSIF usual THEN
        usual := purchase_many_lots(b, rids, order_ids, users, lots, quantities, price_versions,
                                    addresses, nows);
    END IF;
    IF NOT usual THEN
        RETURN QUERY SELECT * FROM purchase_each(rids, order_ids, users, lots, quantities, kinds,
                                                 price_versions, addresses, nows, epochs);
    ELSIF b.lot_low = b.lot_high THEN
        RETURN QUERY
        SELECT u.n::integer, u.rid, 1::smallint, 0, u.order_id, u.user_id, b.lot_low, u.quantity,
               2::smallint, l.price, l.currency, u.now + l.pay_window_us, u.now, u.rid, 0
          FROM unnest(rids, order_ids, users, quantities, nows) WITH ORDINALITY
               AS u(rid, order_id, user_id, quantity, now, n);
    ELSE
        RETURN QUERY
        SELECT u.n::integer, u.rid, 1::smallint, 0, u.order_id, u.user_id, u.lot_id, u.quantity,
               2::smallint, x.price, x.currency, u.now + x.pay_window_us, u.now, u.rid, 0
          FROM unnest(rids, order_ids, users, lots, quantities, nows) WITH ORDINALITY
               AS u(rid, order_id, user_id, lot_id, quantity, now, n)
          JOIN lot x ON x.lot_id = u.lot_id;
    END IF;
END $$;

DROP FUNCTION purchase_all;

-- As before, but one row in the outbox for the batch, not one for each of its lots.
CREATE OR REPLACE FUNCTION purchase_account(rids bigint[], order_ids bigint[], lots bigint[],
                                            quantities integer[], at timestamptz) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    WITH taken AS (
        SELECT u.lot_id, sum(u.quantity) AS units, min(u.rid) AS low, max(u.rid) AS high
          FROM unnest(rids, lots, quantities) AS u(rid, lot_id, quantity)
         GROUP BY u.lot_id
    ), changed AS (
        UPDATE lot l SET sold = l.sold + t.units, version = l.version + 1
          FROM taken t WHERE l.lot_id = t.lot_id
        RETURNING l.lot_id, l.sku_id, l.sold AS after, t.units, t.low, t.high
    )
    INSERT INTO stock_movement (counter, sku_id, lot_id, before, after, change, reason,
                                first_rid, last_rid, at)
    SELECT 'sold', c.sku_id, c.lot_id, c.after - c.units, c.after, c.units, 'purchase',
           c.low, c.high, purchase_account.at FROM changed c;
    INSERT INTO outbox (notice, orders, created_at, next_at)
    VALUES (2, order_ids, purchase_account.at, purchase_account.at);
END $$;
