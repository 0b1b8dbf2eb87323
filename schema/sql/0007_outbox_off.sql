-- Nobody sends mail here: what is due is put aside as it stands, a row of a batch as one row.  It
-- must not wait until mail is switched on one day and then tell of orders long past, and making a
-- row per order first, only to put it aside, cost as much as the purchase itself.
CREATE FUNCTION outbox_skip(now bigint, most bigint)
    RETURNS TABLE (last bigint, touched integer) LANGUAGE sql AS $$
    WITH batches AS (
        SELECT x.outbox_id FROM outbox x WHERE x.orders IS NOT NULL
         ORDER BY x.outbox_id LIMIT most FOR UPDATE SKIP LOCKED
    ), singles AS (
        SELECT y.outbox_id FROM outbox y
         WHERE y.sent_at IS NULL AND y.dead_at IS NULL AND y.orders IS NULL
           AND y.next_at <= time_of(now)
         ORDER BY y.next_at LIMIT most FOR UPDATE SKIP LOCKED
    ), skipped AS (
        UPDATE outbox o SET orders = NULL, sent_at = time_of(now), error = 'mail is off'
          FROM (SELECT * FROM batches UNION ALL SELECT * FROM singles) due
         WHERE o.outbox_id = due.outbox_id
        RETURNING o.outbox_id
    )
    SELECT coalesce(max(s.outbox_id), 0), count(*)::integer FROM skipped s
$$;
