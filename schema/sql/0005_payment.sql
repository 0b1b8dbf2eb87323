-- Payments, refunds, the ledger.  The order row is locked before its payments.

CREATE VIEW payment_rows AS
    SELECT p.payment_id, p.order_id, p.user_id, o.lot_id, o.quantity, p.provider, p.state,
           o.state AS order_state, p.amount, p.currency, p.pay_url, p.provider_txn,
           us_of(o.pay_by) AS pay_by, r.refund_id,
           (CASE WHEN r.refund_id IS NOT NULL THEN 4 ELSE p.todo END)::smallint AS todo
      FROM payment p JOIN orders o USING (order_id)
      LEFT JOIN refund r ON r.payment_id = p.payment_id AND r.state = 1;

-- Locks the payment's order, then the payment, and returns it.
CREATE FUNCTION payment_lock(id bigint) RETURNS payment LANGUAGE plpgsql AS $$
DECLARE
    p payment;
BEGIN
    PERFORM FROM orders o WHERE o.order_id = (SELECT x.order_id FROM payment x
                                               WHERE x.payment_id = id) FOR UPDATE;
    SELECT * INTO p FROM payment x WHERE x.payment_id = id FOR UPDATE;
    RETURN p;
END $$;

CREATE FUNCTION payment_insert(id bigint, wanted bigint, owner bigint, via text, now bigint)
    RETURNS SETOF payment_rows LANGUAGE plpgsql AS $$
DECLARE
    o    orders;
    open bigint;
BEGIN
    SELECT * INTO o FROM orders x WHERE x.order_id = wanted AND x.user_id = owner FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse('not_found');
    END IF;
    SELECT p.payment_id INTO open FROM payment p
     WHERE p.order_id = wanted AND (p.payment_id = id OR p.state IN (1, 2, 5))
     ORDER BY p.payment_id = id DESC LIMIT 1;
    IF o.state NOT IN (2, 3) THEN
        PERFORM refuse('illegal_state', 'The order is not waiting for money.');
    ELSIF o.pay_by <= time_of(now) THEN
        PERFORM refuse('illegal_state', 'The time to pay is over.');
    ELSIF open IS NULL THEN
        open := id;
        INSERT INTO payment (payment_id, order_id, user_id, provider, amount, currency, created_at,
                             touched_at)
        VALUES (id, wanted, owner, via, o.price * o.quantity, o.currency, time_of(now),
                time_of(now));
        IF o.state = 2 THEN
            UPDATE orders x SET state = 3 WHERE x.order_id = wanted;
            INSERT INTO order_event (order_id, from_state, to_state, reference, at)
            VALUES (wanted, 2, 3, id, time_of(now));
        END IF;
    END IF;
    RETURN QUERY SELECT * FROM payment_rows r WHERE r.payment_id = open;
END $$;

CREATE FUNCTION payment_pending(id bigint, txn text, url text, now bigint)
    RETURNS SETOF payment_rows LANGUAGE plpgsql AS $$
DECLARE
    p payment := payment_lock(id);
BEGIN
    UPDATE payment x
       SET provider_txn = coalesce(x.provider_txn, txn), pay_url = url, touched_at = time_of(now),
           state = CASE WHEN p.state IN (1, 5) THEN 2 ELSE p.state END,
           todo = CASE WHEN p.state IN (1, 5) THEN 2 ELSE p.todo END
     WHERE x.payment_id = id;
    RETURN QUERY SELECT * FROM payment_rows r WHERE r.payment_id = id;
END $$;

CREATE FUNCTION payment_unknown(id bigint, now bigint) RETURNS SETOF payment_rows
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM payment_lock(id);
    UPDATE payment x SET state = 5, todo = 2, touched_at = time_of(now)
     WHERE x.payment_id = id AND x.state IN (1, 2, 5);
    RETURN QUERY SELECT * FROM payment_rows r WHERE r.payment_id = id;
END $$;

-- Money came in (refund NULL) or goes back out.
CREATE FUNCTION ledger_write(p payment, refund bigint, now timestamptz) RETURNS void
    LANGUAGE sql AS $$
    INSERT INTO ledger (account, amount, currency, order_id, payment_id, refund_id, at)
    SELECT e.account, CASE WHEN refund IS NULL THEN e.amount ELSE -e.amount END, p.currency,
           p.order_id, p.payment_id, refund, now
      FROM (VALUES ('provider:' || p.provider, p.amount), ('sales', -p.amount))
           AS e(account, amount)
$$;

CREATE FUNCTION refund_open(p payment, id bigint, now timestamptz) RETURNS void
    LANGUAGE sql AS $$
    INSERT INTO refund (refund_id, payment_id, order_id, amount, currency, created_at, touched_at)
    VALUES (id, p.payment_id, p.order_id, p.amount, p.currency, now, now)
    ON CONFLICT (payment_id) DO NOTHING;
    UPDATE payment SET todo = 0 WHERE payment_id = p.payment_id
$$;

-- The provider says the money is there.  Returns a pay_outcome; 5 (second) has opened a refund.
CREATE FUNCTION payment_capture(p payment, refund bigint, txn text, now timestamptz)
    RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    o     orders;
    other boolean; -- Another payment of the order has been captured and not sent back.
BEGIN
    SELECT * INTO o FROM orders x WHERE x.order_id = p.order_id;
    other := EXISTS (SELECT FROM payment x WHERE x.order_id = p.order_id AND x.state = 3
                        AND x.payment_id <> p.payment_id
                        AND NOT EXISTS (SELECT FROM refund f WHERE f.payment_id = x.payment_id));
    UPDATE payment x SET state = 3, todo = CASE WHEN o.state = 8 AND NOT other THEN 3 ELSE 0 END,
           provider_txn = coalesce(nullif(txn, ''), x.provider_txn), touched_at = now
     WHERE x.payment_id = p.payment_id;
    PERFORM ledger_write(p, NULL, now);
    IF o.state IN (2, 3) THEN
        UPDATE orders x SET state = 4 WHERE x.order_id = o.order_id;
        INSERT INTO order_event (order_id, from_state, to_state, reference, at)
        VALUES (o.order_id, o.state, 4, p.payment_id, now);
        INSERT INTO outbox (notice, user_id, order_id, created_at, next_at)
        VALUES (3, o.user_id, o.order_id, now, now);
        RETURN 1; -- paid
    ELSIF o.state = 8 AND NOT other THEN
        RETURN 3; -- late
    END IF;
    PERFORM refund_open(p, refund, now);
    RETURN 5; -- second
END $$;

-- One transaction for one result, however often it is told.  Nothing is raised: what a provider
-- said is kept also when it does not match.
CREATE FUNCTION payment_result(id bigint, order_told bigint, via text, txn text, event text,
                               amount_told bigint, currency_told text, told integer,
                               refund bigint, now bigint)
    RETURNS TABLE (payment_id bigint, outcome integer, order_id bigint, user_id bigint,
                   lot_id bigint, quantity integer, refund_id bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    p    payment := payment_lock(id);
    what integer := 2; -- already
BEGIN
    IF p.payment_id IS NULL THEN
        what := 7; -- unmatched
    ELSIF order_told NOT IN (0, p.order_id) OR via <> p.provider
          OR ((told = 3 OR amount_told <> 0)
              AND (amount_told <> p.amount OR currency_told <> p.currency))
          OR (txn <> '' AND EXISTS (SELECT FROM payment x WHERE x.provider = via
                                     AND x.provider_txn = txn AND x.payment_id <> id)) THEN
        what := 6; -- mismatch
    ELSIF told = 3 AND p.state <> 3 THEN
        what := payment_capture(p, refund, txn, time_of(now));
    ELSIF told = 4 AND p.state IN (1, 2, 5) THEN
        UPDATE payment x SET state = 4, todo = 0, touched_at = time_of(now),
               provider_txn = coalesce(nullif(txn, ''), x.provider_txn)
         WHERE x.payment_id = id;
        what := 4; -- failed
    END IF;
    IF what <> 2 THEN
        INSERT INTO payment_event (payment_id, order_id, provider, provider_event, provider_txn,
                                   state, outcome, amount, currency, at)
        VALUES (id, order_told, via, event, txn, told, what, amount_told, currency_told,
                time_of(now));
    END IF;
    RETURN QUERY
    SELECT id, what, o.order_id, o.user_id, o.lot_id, o.quantity::integer, f.refund_id
      FROM (SELECT) one LEFT JOIN orders o ON o.order_id = p.order_id
      LEFT JOIN refund f ON f.payment_id = id AND what = 5;
END $$;

-- Money of an order that will not be served again goes back, once.
CREATE FUNCTION refund_insert(id bigint, refund bigint, now bigint) RETURNS SETOF payment_rows
    LANGUAGE plpgsql AS $$
DECLARE
    p payment := payment_lock(id);
BEGIN
    IF p.payment_id IS NULL THEN
        PERFORM refuse('not_found');
    ELSIF NOT EXISTS (SELECT FROM refund f WHERE f.payment_id = id) THEN
        IF p.state <> 3 OR NOT EXISTS (SELECT FROM orders o WHERE o.order_id = p.order_id
                                          AND o.state IN (7, 8)) THEN
            PERFORM refuse('illegal_state', 'This money is not to be sent back.');
        END IF;
        PERFORM refund_open(p, refund, time_of(now));
    END IF;
    RETURN QUERY SELECT * FROM payment_rows r WHERE r.payment_id = id;
END $$;

CREATE FUNCTION refund_result(id bigint, told integer, now bigint)
    RETURNS TABLE (refund_id bigint, touched integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    f refund;
    p payment;
BEGIN
    p := payment_lock((SELECT x.payment_id FROM refund x WHERE x.refund_id = id));
    SELECT * INTO f FROM refund x WHERE x.refund_id = id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse('not_found');
    ELSIF f.state = 2 OR f.state = told OR told NOT IN (2, 3) THEN
        RETURN QUERY SELECT id, 0;
        RETURN;
    END IF;
    UPDATE refund x SET state = told, touched_at = time_of(now) WHERE x.refund_id = id;
    IF told = 2 THEN
        PERFORM ledger_write(p, id, time_of(now));
        INSERT INTO outbox (notice, user_id, order_id, created_at, next_at)
        VALUES (6, p.user_id, p.order_id, time_of(now), time_of(now));
    ELSE
        INSERT INTO dead_letter (what, reference, error, at)
        VALUES ('refund', id, 'the provider refused to send the money back', time_of(now));
    END IF;
    RETURN QUERY SELECT id, 1;
END $$;

-- What needs something and was not touched for a while.  It counts as touched now, so that it is
-- not handed out again at once.
CREATE FUNCTION payments_due(now bigint, older_than bigint, most bigint)
    RETURNS SETOF payment_rows LANGUAGE plpgsql AS $$
DECLARE
    due bigint[];
BEGIN
    WITH picked AS (
        SELECT x.payment_id FROM payment x
         WHERE x.todo <> 0 AND x.touched_at <= time_of(older_than)
         ORDER BY x.touched_at LIMIT most FOR UPDATE SKIP LOCKED
    ), touched AS (
        UPDATE payment x SET touched_at = time_of(now) FROM picked
         WHERE x.payment_id = picked.payment_id RETURNING x.payment_id
    )
    SELECT coalesce(array_agg(t.payment_id), '{}') INTO due FROM touched t;
    WITH picked AS (
        SELECT x.refund_id FROM refund x
         WHERE x.state = 1 AND x.touched_at <= time_of(older_than)
         ORDER BY x.touched_at LIMIT greatest(most - cardinality(due), 0) FOR UPDATE SKIP LOCKED
    ), touched AS (
        UPDATE refund x SET touched_at = time_of(now) FROM picked
         WHERE x.refund_id = picked.refund_id RETURNING x.payment_id
    )
    SELECT due || coalesce(array_agg(t.payment_id), '{}') INTO due FROM touched t;
    RETURN QUERY SELECT * FROM payment_rows r WHERE r.payment_id = ANY (due) ORDER BY r.payment_id;
END $$;
