-- return_batch again: `accepted` goes to the row that moved the order.  It went to the first row of the
-- batch that named the order and the state, although that one may have been fenced, not due yet or
-- somebody else's; then a fenced writer heard that he had moved it, or nobody did.
CREATE OR REPLACE FUNCTION return_batch(order_ids bigint[], users bigint[], tos integer[],
                                        nows bigint[], epochs bigint[])
    RETURNS SETOF return_row LANGUAGE plpgsql
    SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    moves  order_move[];
    movers bigint[]; -- Numbers of the rows that moved an order.
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
           coalesce(array_agg(m.n), '{}')
      INTO moves, movers
      FROM (SELECT DISTINCT ON (o.order_id) o.order_id, o.state, r.to_state::smallint,
                   time_of(r.now) AS at, r.n
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
                    FROM unnest(moves) m GROUP BY m.to_state ORDER BY m.to_state LOOP
        PERFORM return_account(target.orders, w.why, w.notice::smallint, target.at)
           FROM (VALUES (7, 'cancelled', 4), (8, 'expired', 5), (10, 'refunded', 6))
                AS w(state, why, notice) WHERE w.state = target.to_state;
    END LOOP;

    RETURN QUERY
    SELECT r.n::integer, r.order_id,
           (CASE WHEN o.order_id IS NULL THEN 4
                 WHEN o.state <> r.to_state AND r.epoch NOT IN (0, s.epoch) THEN 5
                 WHEN o.state <> r.to_state THEN 4
                 WHEN r.n = ANY (movers) THEN 1
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
