-- What the operators' door keeps and reads: the record of commands, accounts, dead letters, the way
-- of one order.

-- ---- The record: a row before a command is carried out, another one when it was answered. ----

CREATE TABLE audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL,
    who      text NOT NULL,     -- Name of the key.
    role     smallint NOT NULL,
    command  text NOT NULL,
    fields   jsonb NOT NULL,
    trace    text NOT NULL,
    about    text NOT NULL,     -- Field that names the thing concerned; '' = there is none.
    id       bigint NOT NULL,   -- 0 = the command makes it.
    before   jsonb
);
CREATE INDEX audit_at ON audit (at);
CREATE TABLE audit_end (
    audit_id bigint PRIMARY KEY REFERENCES audit,
    at       timestamptz NOT NULL,
    outcome  text NOT NULL,
    after    jsonb
);
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['audit', 'audit_end'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION keep_as_written()', name);
    END LOOP;
END $$;

-- An account by its number, its mail address or its phone number; NULL = there is none.
CREATE FUNCTION user_of(word text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT a.user_id FROM account a
     WHERE a.user_id = CASE WHEN word ~ '^[0-9]{1,18}$' THEN word::bigint END
        OR a.login = lower(word)
        OR a.login = CASE WHEN word !~ '@' THEN '+' || regexp_replace(word, '[^0-9]', '', 'g') END
     ORDER BY a.login = lower(word) DESC,
              a.user_id = CASE WHEN word ~ '^[0-9]{1,18}$' THEN word::bigint END DESC LIMIT 1
$$;

-- Numbers of 63 bits are texts in JSON.
CREATE FUNCTION ids_as_texts(thing jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_object_agg(m.key, CASE WHEN m.key LIKE '%id' AND jsonb_typeof(m.value) = 'number'
                                        THEN to_jsonb(m.value #>> '{}') ELSE m.value END)
      FROM jsonb_each(thing) m
$$;

-- The thing that a command is about, as it is now, without secrets and addresses; states are the
-- numbers of schema/states.def.
CREATE FUNCTION audit_thing(about text, id bigint, fields jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    thing jsonb;
BEGIN
    IF about = 'product_id' THEN
        SELECT to_jsonb(p) INTO thing FROM product p WHERE p.product_id = id;
    ELSIF about = 'sku_id' THEN
        SELECT to_jsonb(k) || to_jsonb(s) INTO thing
          FROM sku k JOIN stock_rows s USING (sku_id) WHERE k.sku_id = id;
    ELSIF about = 'sale_id' THEN
        SELECT to_jsonb(s) || jsonb_build_object('lots', (
                   SELECT coalesce(jsonb_agg(jsonb_build_object('lot_id', l.lot_id::text,
                       'sku_id', l.sku_id::text, 'shard', l.shard, 'state', l.state,
                       'allocated', l.allocated, 'sold', l.sold, 'price', l.price,
                       'currency', l.currency, 'per_buyer_limit', l.per_buyer_limit)
                       ORDER BY l.lot_id), '[]')
                     FROM (SELECT * FROM lot x WHERE x.sale_id = id ORDER BY x.lot_id LIMIT 200) l))
          INTO thing FROM sale s WHERE s.sale_id = id;
    ELSIF about = 'order_id' THEN
        SELECT to_jsonb(o) - 'address' INTO thing FROM orders o WHERE o.order_id = id;
    ELSIF about = 'letter_id' THEN
        SELECT to_jsonb(d) - 'frame' INTO thing FROM dead_letter d WHERE d.letter_id = id;
    ELSIF about = 'shard' THEN
        SELECT to_jsonb(s) INTO thing FROM stock_shard s WHERE s.shard = (fields->>'shard')::integer;
    ELSIF about = 'user' THEN
        SELECT jsonb_build_object('user_id', a.user_id, 'login', masked(a.login), 'state', a.state,
                   'failures', a.failures, 'locked_until', a.locked_until,
                   'sessions', (SELECT count(*) FROM session s
                                 WHERE s.user_id = a.user_id AND s.ended_at IS NULL))
          INTO thing FROM account a WHERE a.user_id = user_of(fields->>'user');
    END IF;
    IF length(thing::text) > 60000 THEN
        RETURN jsonb_build_object('too_large', length(thing::text));
    END IF;
    RETURN ids_as_texts(thing);
END $$;

CREATE FUNCTION audit_begin(now bigint, who text, role integer, command text, fields text,
                            trace text, about text, id bigint)
    RETURNS TABLE (audit_id bigint, touched integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    INSERT INTO audit AS a (at, who, role, command, fields, trace, about, id, before)
    VALUES (time_of(now), audit_begin.who, audit_begin.role, audit_begin.command,
            audit_begin.fields::jsonb, audit_begin.trace, audit_begin.about, audit_begin.id,
            audit_thing(audit_begin.about, audit_begin.id, audit_begin.fields::jsonb))
    RETURNING a.audit_id, 1;
END $$;

CREATE FUNCTION audit_close(wanted bigint, now bigint, said text, made bigint)
    RETURNS TABLE (audit_id bigint, touched integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO audit_end (audit_id, at, outcome, after)
    SELECT a.audit_id, time_of(now), said,
           audit_thing(a.about, coalesce(nullif(a.id, 0), made), a.fields)
      FROM audit a WHERE a.audit_id = wanted
    ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT wanted, 1;
END $$;

CREATE FUNCTION audit_list(since bigint, most bigint)
    RETURNS TABLE (audit_id bigint, at bigint, who text, role smallint, command text, fields jsonb,
                   outcome text, ended_at bigint, trace text, before jsonb, after jsonb)
    LANGUAGE sql STABLE AS $$
    SELECT * FROM (
        SELECT a.audit_id, us_of(a.at), a.who, a.role, a.command, a.fields, e.outcome, us_of(e.at),
               a.trace, a.before, e.after
          FROM audit a LEFT JOIN audit_end e USING (audit_id)
         WHERE a.at > time_of(since)
         ORDER BY a.audit_id DESC LIMIT coalesce(nullif(most, 0), 20)) newest
     ORDER BY audit_id
$$;

-- ---- Accounts ----

CREATE FUNCTION user_show(word text)
    RETURNS TABLE (user_id bigint, login text, state smallint, sessions bigint, orders bigint,
                   holding bigint, failures integer, locked_until bigint, created_at bigint)
    LANGUAGE sql STABLE AS $$
    SELECT a.user_id, a.login, a.state,
           (SELECT count(*) FROM session s WHERE s.user_id = a.user_id AND s.ended_at IS NULL),
           count(o.order_id), count(o.order_id) FILTER (WHERE holds_units(o.state)),
           a.failures, us_of(a.locked_until), us_of(a.created_at)
      FROM account a LEFT JOIN orders o ON o.user_id = a.user_id
     WHERE a.user_id = user_of(word) GROUP BY a.user_id
$$;

-- Ends the sessions, or (state normal) lets an account in again.  A repetition names the sessions
-- that ended in the last half hour once more: their tokens may still be good somewhere.
CREATE FUNCTION user_end(word text, target integer, now bigint)
    RETURNS TABLE (session_id bigint, until bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    who bigint := user_of(word);
BEGIN
    IF who IS NULL THEN
        PERFORM refuse('not_found', 'There is no such account.', 'user');
    END IF;
    -- No session is opened between the two statements: session_insert locks the account as well.
    PERFORM FROM account a WHERE a.user_id = who FOR UPDATE;
    UPDATE account a SET state = target WHERE a.user_id = who AND target NOT IN (0, a.state);
    IF target = 1 THEN
        UPDATE account a SET failures = 0, locked_until = NULL WHERE a.user_id = who;
        RETURN;
    END IF;
    UPDATE session s SET ended_at = time_of(now) WHERE s.user_id = who AND s.ended_at IS NULL;
    RETURN QUERY SELECT s.session_id, us_of(s.ended_at) FROM session s
      WHERE s.user_id = who AND s.ended_at > time_of(now) - interval '30 minutes'
      ORDER BY s.session_id;
END $$;

-- As before, but the account's row is locked first: a session of somebody who is being banned is
-- either ended by the ban or sees it.
CREATE OR REPLACE FUNCTION session_insert(id bigint, owner bigint, hash bytea, now bigint,
                                          until bigint)
    RETURNS SETOF session_rows LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM account a WHERE a.user_id = owner FOR NO KEY UPDATE;
    INSERT INTO session (session_id, user_id, refresh_hash, rotated_at, created_at, expires_at)
    VALUES (id, owner, hash, time_of(now), time_of(now), time_of(until))
    ON CONFLICT (session_id) DO NOTHING;
    UPDATE account SET failures = 0, locked_until = NULL
     WHERE user_id = owner AND (failures > 0 OR locked_until IS NOT NULL);
    -- Whoever was banned meanwhile gets no session that outlives the ban.
    UPDATE session s SET ended_at = time_of(now) FROM account a
     WHERE s.session_id = id AND a.user_id = owner AND a.state <> 1 AND s.ended_at IS NULL;
    RETURN QUERY SELECT * FROM session_rows r WHERE r.session_id = id;
END $$;

-- ---- Dead letters ----

ALTER TABLE dead_letter
    ADD state    smallint NOT NULL DEFAULT 1,
    ADD actor    text NOT NULL DEFAULT '',
    ADD message  text NOT NULL DEFAULT '',
    ADD shard    smallint NOT NULL DEFAULT 0,
    ADD node     integer NOT NULL DEFAULT 0,
    ADD trace    bigint NOT NULL DEFAULT 0,
    ADD frame    bytea,
    ADD ended_at timestamptz,
    ADD ended_by text;
CREATE INDEX dead_letter_open ON dead_letter (letter_id) WHERE state = 1;

CREATE VIEW dead_rows AS
    SELECT d.letter_id, d.state, d.what, nullif(d.reference, 0) AS reference, us_of(d.at) AS at,
           left(d.error, 300) AS reason,
           CASE d.what WHEN 'outbox' THEN (SELECT x.order_id FROM outbox x
                                            WHERE x.outbox_id = d.reference)
                       WHEN 'refund' THEN (SELECT r.order_id FROM refund r
                                            WHERE r.refund_id = d.reference) END AS order_id,
           d.actor, d.message, d.shard, d.node, d.trace, us_of(d.ended_at) AS ended_at, d.ended_by
      FROM dead_letter d;

-- A letter may be retried again: the message may have been lost on its way to the actor.
CREATE FUNCTION dead_retry(id bigint, operator text, now bigint)
    RETURNS TABLE (row_of dead_rows, content text, frame bytea) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    d dead_letter;
BEGIN
    SELECT * INTO d FROM dead_letter x WHERE x.letter_id = id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse('not_found', 'There is no such letter.', 'letter_id');
    ELSIF d.state = 3 THEN
        PERFORM refuse('illegal_state', 'This letter was dropped.');
    END IF;
    IF d.what = 'outbox' THEN
        UPDATE outbox x SET dead_at = NULL, attempts = 0, next_at = time_of(now)
         WHERE x.outbox_id = d.reference AND x.dead_at IS NOT NULL;
    ELSIF d.what = 'refund' THEN
        UPDATE refund x SET state = 1, touched_at = 'epoch'
         WHERE x.refund_id = d.reference AND x.state = 3;
    END IF;
    UPDATE dead_letter x SET state = 2, ended_at = time_of(now), ended_by = operator
     WHERE x.letter_id = id;
    RETURN QUERY SELECT r, ''::text, d.frame FROM dead_rows r WHERE r.letter_id = id;
END $$;

CREATE FUNCTION dead_drop(id bigint, operator text, now bigint) RETURNS SETOF dead_rows
    LANGUAGE plpgsql AS $$
DECLARE
    d dead_letter;
BEGIN
    SELECT * INTO d FROM dead_letter x WHERE x.letter_id = id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse('not_found', 'There is no such letter.', 'letter_id');
    ELSIF d.state = 2 THEN
        PERFORM refuse('illegal_state', 'This letter was retried.');
    END IF;
    UPDATE dead_letter x SET state = 3, ended_at = time_of(now), ended_by = operator
     WHERE x.letter_id = id AND x.state = 1;
    RETURN QUERY SELECT * FROM dead_rows r WHERE r.letter_id = id;
END $$;

-- ---- The way of one order ----

CREATE FUNCTION order_trace(wanted bigint)
    RETURNS TABLE (at bigint, source text, what text, detail text) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT FROM orders o WHERE o.order_id = wanted)
       AND NOT EXISTS (SELECT FROM refusal f WHERE f.order_id = wanted) THEN
        PERFORM refuse('not_found', 'There is neither an order nor a refusal of that number.',
                       'order_id');
    END IF;
    RETURN QUERY
    -- Its number was made with its ticket (schema/id.h).
    SELECT 1704067200000000 + (wanted >> 22) * 1000, 'ticket', 'ticket issued', ''
    UNION ALL
    SELECT us_of(o.created_at), 'orders', 'accepted',
           format('lot=%s quantity=%s price=%s%s rid=%s-%s shard=%s', o.lot_id, o.quantity, o.price,
                  o.currency, (o.rid >> 36) & 1048575, o.rid & 68719476735, o.shard)
      FROM orders o WHERE o.order_id = wanted
    UNION ALL
    SELECT us_of(f.decided_at), 'refusal', 'refused', format('reason=%s lot=%s quantity=%s',
           f.reason, f.lot_id, f.quantity)
      FROM refusal f WHERE f.order_id = wanted
    UNION ALL
    SELECT us_of(e.at), 'order_event', format('state %s -> %s', e.from_state, e.to_state),
           coalesce('reference=' || e.reference, '')
      FROM order_event e WHERE e.order_id = wanted
    UNION ALL
    SELECT us_of(m.at), 'stock_movement', format('%s %s', m.counter, m.reason),
           format('lot=%s before=%s after=%s change=%s, of the whole batch', m.lot_id, m.before,
                  m.after, m.change)
      FROM orders o JOIN stock_movement m ON m.lot_id = o.lot_id
       AND o.rid BETWEEN m.first_rid AND m.last_rid
     WHERE o.order_id = wanted
    UNION ALL
    SELECT us_of(p.created_at), 'payment', 'payment made', format('payment=%s provider=%s amount=%s%s',
           p.payment_id, p.provider, p.amount, p.currency)
      FROM payment p WHERE p.order_id = wanted
    UNION ALL
    SELECT us_of(e.at), 'payment_event', 'provider told a result',
           format('payment=%s state=%s outcome=%s', e.payment_id, e.state, e.outcome)
      FROM payment p JOIN payment_event e ON e.payment_id = p.payment_id
     WHERE p.order_id = wanted
    UNION ALL
    SELECT us_of(r.created_at), 'refund', 'refund made', format('refund=%s amount=%s%s', r.refund_id,
           r.amount, r.currency)
      FROM refund r WHERE r.order_id = wanted
    UNION ALL
    SELECT us_of(r.touched_at), 'refund', format('refund state %s', r.state),
           format('refund=%s', r.refund_id)
      FROM refund r WHERE r.order_id = wanted AND r.state <> 1
    UNION ALL
    SELECT us_of(l.at), 'ledger', l.account, format('amount=%s%s', l.amount, l.currency)
      FROM payment p JOIN ledger l ON l.payment_id = p.payment_id WHERE p.order_id = wanted
    UNION ALL
    SELECT us_of(x.created_at), 'outbox', format('notice %s written', x.notice), ''
      FROM outbox x WHERE x.order_id = wanted
    UNION ALL
    SELECT us_of(coalesce(x.sent_at, x.dead_at)), 'outbox',
           format('notice %s %s', x.notice, CASE WHEN x.dead_at IS NULL THEN 'sent' ELSE 'dead' END),
           x.error
      FROM outbox x WHERE x.order_id = wanted AND coalesce(x.sent_at, x.dead_at) IS NOT NULL
    ORDER BY 1;
END $$;
