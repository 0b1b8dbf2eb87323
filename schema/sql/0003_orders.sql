-- Returns, recovery, and what is read of orders.

CREATE TYPE order_move AS (
    order_id bigint, from_state smallint, to_state smallint, at timestamptz);
CREATE TYPE return_row AS (
    n integer, order_id bigint, outcome smallint, reason integer, state smallint, rid bigint,
    user_id bigint, lot_id bigint, quantity integer, epoch bigint, to_general integer,
    pay_by bigint);

-- The units of these orders, whose state has just changed, leave the lots: back to what can be sold,
-- or to general stock when the lot is settled.
CREATE FUNCTION return_account(order_ids bigint[], why text, notice smallint, at timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r      record;
    before bigint;
BEGIN
    FOR r IN SELECT o.lot_id, l.sku_id, l.state, l.sold, l.allocated, sum(o.quantity) AS units,
                    min(o.rid) AS low, max(o.rid) AS high,
                    array_agg(o.order_id ORDER BY o.order_id) AS orders
               FROM orders o JOIN lot l ON l.lot_id = o.lot_id WHERE o.order_id = ANY (order_ids)
              GROUP BY o.lot_id, l.sku_id, l.state, l.sold, l.allocated ORDER BY o.lot_id LOOP
        UPDATE lot SET sold = sold - r.units, version = version + 1,
                       allocated = allocated - CASE WHEN r.state = 5 THEN r.units ELSE 0 END
         WHERE lot_id = r.lot_id;
        INSERT INTO stock_movement (counter, sku_id, lot_id, before, after, change, reason,
                                    first_rid, last_rid, at)
        VALUES ('sold', r.sku_id, r.lot_id, r.sold, r.sold - r.units, -r.units, why, r.low, r.high,
                at);
        INSERT INTO outbox (notice, orders, created_at, next_at)
        VALUES (return_account.notice, r.orders, at, at);
        IF r.state = 5 THEN
            UPDATE general_stock SET on_hand = on_hand + r.units WHERE sku_id = r.sku_id
            RETURNING on_hand - r.units INTO before;
            INSERT INTO stock_movement (counter, sku_id, lot_id, before, after, change, reason,
                                        first_rid, last_rid, at)
            VALUES ('allocated', r.sku_id, r.lot_id, r.allocated, r.allocated - r.units, -r.units,
                    why, r.low, r.high, at),
                   ('general', r.sku_id, NULL, before, before + r.units, r.units, why, r.low,
                    r.high, at);
        END IF;
    END LOOP;
END $$;

-- Fenced by the epoch of the writer that asks (0: any): one that was cut off must not return units
-- after the recovery that followed it, because nobody would undo them.
CREATE FUNCTION return_batch(order_ids bigint[], users bigint[], tos integer[], nows bigint[],
                             epochs bigint[])
    RETURNS SETOF return_row LANGUAGE plpgsql
    SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    moves  order_move[];
    moved  bigint[];
    target record;
BEGIN
    -- Shard and lot of an order never change, so they can be read before they are locked.
    PERFORM FROM stock_shard s WHERE s.shard IN
        (SELECT o.shard FROM orders o WHERE o.order_id = ANY (order_ids)) ORDER BY s.shard FOR SHARE;
    PERFORM FROM lot l WHERE l.lot_id IN
        (SELECT o.lot_id FROM orders o WHERE o.order_id = ANY (order_ids))
      ORDER BY l.lot_id FOR UPDATE;
    PERFORM FROM orders o WHERE o.order_id = ANY (order_ids) ORDER BY o.order_id FOR UPDATE;

    -- An order named twice in the batch moves once, by the first row that may move it.
    SELECT coalesce(array_agg((m.order_id, m.state, m.to_state, m.at)::order_move), '{}'),
           coalesce(array_agg(m.order_id), '{}')
      INTO moves, moved
      FROM (SELECT DISTINCT ON (o.order_id) o.order_id, o.state, r.to_state::smallint,
                   time_of(r.now) AS at
              FROM unnest(order_ids, users, tos, nows, epochs) WITH ORDINALITY
                   AS r(order_id, user_id, to_state, now, epoch, n)
              JOIN orders o ON o.order_id = r.order_id
              JOIN stock_shard s ON s.shard = o.shard
             WHERE r.user_id IN (0, o.user_id) AND r.epoch IN (0, s.epoch)
               AND CASE r.to_state WHEN 7 THEN o.state IN (2, 3)
                                   WHEN 8 THEN o.state IN (2, 3) AND o.pay_by <= time_of(r.now)
                                   WHEN 10 THEN o.state = 9
                                   ELSE false END
             ORDER BY o.order_id, r.n) m;
    UPDATE orders o SET state = m.to_state FROM unnest(moves) m WHERE o.order_id = m.order_id;
    INSERT INTO order_event (order_id, from_state, to_state, at)
    SELECT m.order_id, m.from_state, m.to_state, m.at FROM unnest(moves) m;
    FOR target IN SELECT m.to_state, array_agg(m.order_id) AS orders, min(m.at) AS at
                    FROM unnest(moves) m GROUP BY m.to_state LOOP
        PERFORM return_account(target.orders, w.why, w.notice::smallint, target.at)
           FROM (VALUES (7, 'cancelled', 4), (8, 'expired', 5), (10, 'refunded', 6))
                AS w(state, why, notice) WHERE w.state = target.to_state;
    END LOOP;

    RETURN QUERY
    SELECT r.n::integer, r.order_id,
           (CASE WHEN o.order_id IS NULL THEN 4
                 WHEN o.state <> r.to_state AND r.epoch NOT IN (0, s.epoch) THEN 5
                 WHEN o.state <> r.to_state THEN 4
                 WHEN r.order_id = ANY (moved)
                      AND row_number() OVER (PARTITION BY r.order_id, r.to_state ORDER BY r.n) = 1
                     THEN 1
                 ELSE 2 END)::smallint,
           CASE WHEN o.order_id IS NULL THEN 1101
                WHEN o.state <> r.to_state AND r.epoch NOT IN (0, s.epoch) THEN 0
                WHEN o.state <> r.to_state THEN 2101 ELSE 0 END,
           o.state, o.rid, o.user_id, o.lot_id, o.quantity::integer, s.epoch,
           CASE WHEN l.state = 5 THEN 1 ELSE 0 END, us_of(o.pay_by)
      FROM unnest(order_ids, users, tos, epochs) WITH ORDINALITY
           AS r(order_id, user_id, to_state, epoch, n)
      LEFT JOIN orders o ON o.order_id = r.order_id AND r.user_id IN (0, o.user_id)
      LEFT JOIN lot l ON l.lot_id = o.lot_id
      LEFT JOIN stock_shard s ON s.shard = o.shard
     ORDER BY r.n;
END $$;

-- R2.  The lock first; everything that is read comes in later statements, so nothing of the shard
-- can be missing from it and nothing of an older epoch can follow.
CREATE FUNCTION shard_recover(k integer, redis_epoch bigint, redis_run_id text, nonce bigint)
    RETURNS TABLE (epoch bigint, lot_id bigint, state smallint, available bigint,
                   per_buyer_limit integer, holders text, "row" bigint, allocated bigint)
    LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    fresh bigint;
    lots  bigint[];
    low   bigint;
BEGIN
    INSERT INTO stock_shard (shard, epoch) VALUES (k, 0) ON CONFLICT DO NOTHING;
    SELECT greatest(s.epoch, redis_epoch) + 1 INTO fresh FROM stock_shard s
     WHERE s.shard = k FOR UPDATE;
    IF fresh > 1048575 THEN -- A rid has 20 bits for it, and another shard's begin behind them.
        PERFORM refuse('internal', 'The epochs of this shard are used up.');
    END IF;
    UPDATE stock_shard s SET epoch = fresh, run_id = redis_run_id, boot = nonce WHERE s.shard = k;
    RETURN QUERY SELECT fresh, 0::bigint, 0::smallint, 0::bigint, 0, NULL, 1::bigint, 0::bigint;

    SELECT array_agg(l.lot_id), min(l.rid_after) INTO lots, low FROM lot l
     WHERE l.shard = k AND l.state <> 5;
    RETURN QUERY
    SELECT r.*, row_number() OVER () + 1, coalesce(a.allocated, 0)::bigint FROM (
    SELECT fresh, l.lot_id, l.state, l.allocated - l.sold, l.per_buyer_limit, NULL FROM lot l
     WHERE l.lot_id = ANY (lots)
    UNION ALL
    -- Of orders that hold nothing any more each buyer's last hundred: the rest is found here.
    SELECT fresh, c.lot_id, NULL, NULL, NULL, string_agg(c.line, '' ORDER BY c.user_id)
      FROM (SELECT b.lot_id, b.user_id, b.line,
                   sum(length(b.line)) OVER (PARTITION BY b.lot_id ORDER BY b.user_id) / 45000
                       AS chunk
              FROM (SELECT h.lot_id, h.user_id,
                           string_agg(concat(h.user_id, ':', h.order_id, ':', h.rid, ':', h.units,
                                             ';'), '' ORDER BY h.order_id) AS line
                      FROM (SELECT o.lot_id, o.user_id, o.order_id, o.rid,
                                   CASE WHEN holds_units(o.state) THEN o.quantity ELSE 0 END
                                       AS units,
                                   row_number() OVER (PARTITION BY o.lot_id, o.user_id
                                       ORDER BY holds_units(o.state) DESC, o.order_id DESC) AS nth
                              FROM orders o
                             WHERE o.rid > low AND o.rid <= shard_last(k)
                               AND o.lot_id = ANY (lots)) h
                     WHERE h.nth <= 100
                     GROUP BY h.lot_id, h.user_id) b) c
     GROUP BY c.lot_id, c.chunk) r (epoch, lot_id, state, available, per_buyer_limit, holders)
      LEFT JOIN lot a ON a.lot_id = r.lot_id AND r.holders IS NULL;
END $$;

-- A row that purchase_batch cannot carry out even alone.  Unless it was accepted after all, its
-- refusal is kept (H2); 9999 is `internal`.  Fenced as everything that decides (G14), and a rid that
-- another order has (H23) makes nobody the owner of that order.
CREATE FUNCTION purchase_refuse(asked bigint, wanted bigint, buyer bigint, lot bigint,
                                units integer, at bigint)
    RETURNS TABLE (rid bigint, outcome integer, reason integer, order_id bigint, user_id bigint,
                   lot_id bigint, quantity integer, state smallint, price bigint, currency text,
                   pay_by bigint, created_at bigint, order_rid bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF asked >> 36 <> ALL (epochs_lock(ARRAY[asked])) THEN
        RETURN QUERY SELECT asked, 5, 0, wanted, buyer, lot, units, 0::smallint, 0::bigint, '',
                            0::bigint, 0::bigint, 0::bigint;
        RETURN;
    END IF;
    INSERT INTO refusal (rid, order_id, user_id, lot_id, quantity, reason, decided_at)
    SELECT asked, wanted, buyer, lot, units, 9999, time_of(at)
     WHERE NOT EXISTS (SELECT FROM orders o WHERE o.rid = asked AND o.order_id = wanted)
    ON CONFLICT DO NOTHING;
    RETURN QUERY
    SELECT asked, CASE WHEN f.rid IS NULL THEN 2 ELSE 4 END, coalesce(f.reason::integer, 0), wanted,
           o.user_id, o.lot_id, o.quantity::integer, o.state, o.price, o.currency, us_of(o.pay_by),
           us_of(o.created_at), o.rid
      FROM (SELECT 1) one LEFT JOIN refusal f ON f.rid = asked
      LEFT JOIN orders o ON f.rid IS NULL AND o.rid = asked AND o.order_id = wanted;
END $$;

-- An order, or the last refusal of its id; with a rid from a receipt the answer is definite (R5):
-- the epoch is read first, the rows in later statements.
CREATE FUNCTION order_find(wanted bigint, owner bigint, receipt bigint)
    RETURNS TABLE (order_id bigint, state integer, lot_id bigint, quantity integer, price bigint,
                   price_currency text, total bigint, total_currency text, address text,
                   pay_by bigint, created_at bigint, code integer, user_id bigint, rid bigint)
    LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    now_epoch bigint;
BEGIN
    SELECT s.epoch INTO now_epoch FROM stock_shard s WHERE s.shard = receipt >> 56;
    RETURN QUERY
    SELECT o.order_id, o.state::integer, o.lot_id, o.quantity::integer, o.price, o.currency,
           o.price * o.quantity, o.currency, o.address, us_of(o.pay_by), us_of(o.created_at), 0,
           o.user_id, o.rid
      FROM orders o WHERE o.order_id = wanted;
    IF NOT FOUND THEN
        RETURN QUERY
        SELECT f.order_id, 11, f.lot_id, f.quantity, 0::bigint, '', 0::bigint, '', '', 0::bigint,
               0::bigint, f.reason::integer, f.user_id, f.rid
          FROM refusal f WHERE f.order_id = wanted AND (receipt = 0 OR f.rid = receipt)
           AND owner IN (0, f.user_id)
         ORDER BY f.rid DESC LIMIT 1;
        IF NOT FOUND AND receipt <> 0 THEN
            RETURN QUERY
            SELECT wanted, CASE WHEN (receipt >> 36) & 1048575 < now_epoch THEN 12 ELSE 1 END,
                   0::bigint, 0, 0::bigint, '', 0::bigint, '', '', 0::bigint, 0::bigint, 0, owner,
                   receipt;
        END IF;
    ELSIF NOT EXISTS (SELECT FROM orders o
                       WHERE o.order_id = wanted AND owner IN (0, o.user_id)) THEN
        PERFORM refuse('not_found');
    END IF;
END $$;
