-- Of one order its messages leave in the order of their commits, not of clocks: two nodes write them,
-- and clocks that disagree put "paid" before "placed".  A row that was taken out of a batch keeps the
-- batch's number; a batch that has not been taken apart holds up what is younger, because nobody
-- knows yet whose orders it is about.
ALTER TABLE outbox ADD COLUMN made bigint;

CREATE OR REPLACE FUNCTION outbox_take(now bigint, lease_end bigint, most bigint)
    RETURNS TABLE (outbox_id bigint, notice smallint, login text, order_id bigint, title text,
                   quantity integer, total bigint, currency text, pay_by bigint, attempts integer)
    LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    whole bigint; -- The oldest batch that is left.
BEGIN
    WITH batches AS (
        DELETE FROM outbox b WHERE b.outbox_id IN (
            SELECT x.outbox_id FROM outbox x WHERE x.orders IS NOT NULL
             ORDER BY x.outbox_id LIMIT 8 FOR UPDATE SKIP LOCKED)
        RETURNING b.outbox_id, b.notice, b.orders, b.created_at, b.next_at
    )
    INSERT INTO outbox (notice, user_id, order_id, created_at, next_at, made)
    SELECT b.notice, o.user_id, o.order_id, b.created_at, b.next_at, b.outbox_id
      FROM batches b CROSS JOIN LATERAL unnest(b.orders) AS u(order_id)
      JOIN orders o ON o.order_id = u.order_id
      JOIN account a ON a.user_id = o.user_id;
    SELECT min(x.outbox_id) INTO whole FROM outbox x WHERE x.orders IS NOT NULL;
    RETURN QUERY
    WITH taken AS (
        UPDATE outbox x SET next_at = time_of(lease_end)
         WHERE x.outbox_id IN (
            SELECT y.outbox_id FROM outbox y
             WHERE y.sent_at IS NULL AND y.dead_at IS NULL AND y.orders IS NULL
               AND y.next_at <= time_of(now)
               AND (whole IS NULL OR coalesce(y.made, y.outbox_id) < whole)
               -- "Please pay" must not arrive behind "expired".
               AND NOT EXISTS (
                   SELECT FROM outbox z
                    WHERE z.order_id = y.order_id AND z.sent_at IS NULL AND z.dead_at IS NULL
                      AND coalesce(z.made, z.outbox_id) < coalesce(y.made, y.outbox_id))
             ORDER BY y.next_at, y.outbox_id LIMIT most FOR UPDATE SKIP LOCKED)
        RETURNING x.outbox_id, x.notice, x.user_id, x.order_id, x.attempts
    )
    SELECT t.outbox_id, t.notice, a.login, t.order_id, l.title, o.quantity::integer,
           o.price * o.quantity, o.currency, us_of(o.pay_by), t.attempts
      FROM taken t JOIN account a ON a.user_id = t.user_id
      LEFT JOIN orders o ON o.order_id = t.order_id
      LEFT JOIN lot_rows l ON l.lot_id = o.lot_id
     ORDER BY t.outbox_id;
END $$;
