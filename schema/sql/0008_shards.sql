-- Several shards; payments nobody will hear of any more.

-- As return_batch of 0003, for a writer that says whose it is: an order of another shard is fenced,
-- and its rid tells which shard that is.  Two shards may well have the same epoch, so the epoch alone
-- would let a cancel that went astray return units that only the other writer undoes.
CREATE FUNCTION return_batch(order_ids bigint[], users bigint[], tos integer[], nows bigint[],
                             epochs bigint[], shards integer[])
    RETURNS SETOF return_row LANGUAGE plpgsql
    SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    RETURN QUERY SELECT * FROM return_batch(order_ids, users, tos, nows, (
        -- The shard of an order never changes, so it can be read before anything is locked.
        SELECT array_agg(CASE WHEN o.shard <> r.shard AND r.epoch <> 0 THEN -1 ELSE r.epoch END
                         ORDER BY r.n)
          FROM unnest(order_ids, epochs, shards) WITH ORDINALITY AS r(order_id, epoch, shard, n)
          LEFT JOIN orders o ON o.order_id = r.order_id));
END $$;

-- A payment without a result is asked about again and again.  As long as its order waits for money
-- that is every few seconds; when the order has its last state only late money can be found, and the
-- pause doubles with each question, up to an hour.
ALTER TABLE payment ADD COLUMN asked integer NOT NULL DEFAULT 0, -- Since the order is final.
                    ADD COLUMN rests_until timestamptz;
DROP INDEX payment_todo;
CREATE INDEX payment_due ON payment
    ((CASE WHEN todo = 2 THEN greatest(touched_at, rests_until) ELSE touched_at END))
    WHERE todo <> 0;

CREATE OR REPLACE FUNCTION payments_due(now bigint, older_than bigint, most bigint)
    RETURNS SETOF payment_rows LANGUAGE plpgsql AS $$
DECLARE
    due   bigint[];
    pause interval := time_of(now) - time_of(older_than);
BEGIN
    WITH picked AS (
        SELECT x.payment_id, x.todo = 2 AND o.state NOT IN (2, 3) AS rests
          FROM payment x JOIN orders o USING (order_id)
         WHERE x.todo <> 0
           AND CASE WHEN x.todo = 2 THEN greatest(x.touched_at, x.rests_until)
                    ELSE x.touched_at END <= time_of(older_than)
         ORDER BY CASE WHEN x.todo = 2 THEN greatest(x.touched_at, x.rests_until)
                       ELSE x.touched_at END
         LIMIT most FOR UPDATE OF x SKIP LOCKED
    ), touched AS (
        UPDATE payment x SET touched_at = time_of(now),
               asked = CASE WHEN p.rests THEN least(x.asked + 1, 30) ELSE 0 END,
               -- It is due one pause after this.
               rests_until = CASE WHEN p.rests THEN time_of(now) - pause
                                  + least(pause * 2.0 ^ (x.asked + 1), interval '1 hour') END
          FROM picked p WHERE x.payment_id = p.payment_id RETURNING x.payment_id
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
