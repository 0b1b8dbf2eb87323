-- purchase_batch, answered in short: where all rows are as usual, one row for each lot, n = 0, says that
-- every row of it was accepted as it was asked, at what price, and (in pay_by) how long it may stay
-- unpaid.  Whoever asked knows the rest.  To make, send and read fifteen columns for every order was a
-- tenth of what a purchase cost in PostgreSQL, and as much again in the port.
CREATE FUNCTION purchase_short(rids bigint[], order_ids bigint[], users bigint[],
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
    ELSE
        RETURN QUERY
        SELECT 0, NULL::bigint, 1::smallint, 0, NULL::bigint, NULL::bigint, x.lot_id, NULL::integer,
               2::smallint, x.price, x.currency, x.pay_window_us, NULL::bigint, NULL::bigint, 0
          FROM lot x WHERE x.lot_id = ANY (lots);
    END IF;
END $$;

-- For nodes of before, which want a row for every row.
CREATE OR REPLACE FUNCTION purchase_batch(rids bigint[], order_ids bigint[], users bigint[],
                                          lots bigint[], quantities integer[], kinds integer[],
                                          price_versions bigint[], addresses text[], nows bigint[])
    RETURNS SETOF decision LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    SELECT u.n::integer, u.rid, p.outcome, p.reason, coalesce(p.order_id, u.order_id),
           CASE p.n WHEN 0 THEN u.user_id ELSE p.user_id END,
           CASE p.n WHEN 0 THEN u.lot_id ELSE p.lot_id END,
           CASE p.n WHEN 0 THEN u.quantity ELSE p.quantity END, p.state, p.price, p.currency,
           CASE p.n WHEN 0 THEN u.now + p.pay_by ELSE p.pay_by END,
           CASE p.n WHEN 0 THEN u.now ELSE p.created_at END,
           CASE p.n WHEN 0 THEN u.rid ELSE p.order_rid END, p.alarm
      FROM purchase_short(rids, order_ids, users, lots, quantities, kinds, price_versions, addresses,
                          nows) p
      JOIN unnest(rids, order_ids, users, lots, quantities, nows) WITH ORDINALITY
           AS u(rid, order_id, user_id, lot_id, quantity, now, n)
        ON p.n = u.n OR (p.n = 0 AND p.lot_id = u.lot_id);
END $$;

-- The order ids of a batch are 2 KiB: just too long for a row that is not compressed and cut into
-- pieces, which cost more than writing them.
ALTER TABLE outbox SET (toast_tuple_target = 8160);
