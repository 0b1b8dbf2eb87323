-- Everything PostgreSQL keeps.  Enumerations are the numbers of schema/states.def, problems those of
-- schema/problems.def.  Ids and rids are made by the actors (schema/id.h); a rid carries its shard
-- and epoch: rid >> 56 is the shard, rid >> 36 the shard and the epoch together.
--
-- Lock order everywhere: shard row, sale, lots by id, orders by id, payments, general stock by SKU.

-- Times travel as microseconds since 1970; 0 is "not given".  STABLE, so that both are inlined.
CREATE FUNCTION time_of(us bigint) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT 'epoch'::timestamptz + us * interval '1 microsecond' $$;
CREATE FUNCTION us_of(t timestamptz) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT (extract(epoch FROM t) * 1000000)::bigint $$;

-- The largest rid of a shard.
CREATE FUNCTION shard_last(shard integer) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT shard::bigint << 56 | 72057594037927935 $$;

-- The way a function refuses: the port turns SQLSTATE DB001 into a problem (broker/pg/statements.def).
CREATE FUNCTION refuse(problem text, sentence text DEFAULT '', field text DEFAULT '') RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'DB001', MESSAGE = problem, DETAIL = sentence, COLUMN = field;
END $$;

CREATE FUNCTION keep_as_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;

-- A unique constraint that a user can run into bears the name of the problem he is told.
CREATE TABLE account (
    user_id      bigint PRIMARY KEY,
    login        text NOT NULL CONSTRAINT login_taken UNIQUE,
    password     text NOT NULL,
    state        smallint NOT NULL DEFAULT 1,
    roles        integer NOT NULL DEFAULT 0,
    failures     integer NOT NULL DEFAULT 0,
    locked_until timestamptz,
    created_at   timestamptz NOT NULL
);

CREATE TABLE session (
    session_id    bigint PRIMARY KEY,
    user_id       bigint NOT NULL REFERENCES account,
    refresh_hash  bytea NOT NULL UNIQUE,
    previous_hash bytea UNIQUE, -- Good once more within the grace.
    rotated_at    timestamptz NOT NULL,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    ended_at      timestamptz
);
CREATE INDEX session_ended ON session (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX session_owner ON session (user_id);
-- Refresh tokens that were traded: who shows one again has stolen it, or was stolen from.
CREATE TABLE session_spent (
    hash       bytea PRIMARY KEY,
    session_id bigint NOT NULL,
    spent_at   timestamptz NOT NULL
);

CREATE TABLE product (
    product_id bigint PRIMARY KEY,
    title      text NOT NULL
);
CREATE TABLE sku (
    sku_id     bigint PRIMARY KEY,
    product_id bigint NOT NULL REFERENCES product,
    title      text NOT NULL
);
CREATE TABLE general_stock (
    sku_id  bigint PRIMARY KEY REFERENCES sku,
    on_hand bigint NOT NULL DEFAULT 0 CHECK (on_hand >= 0)
);

CREATE TABLE sale (
    sale_id       bigint PRIMARY KEY,
    title         text NOT NULL,
    state         smallint NOT NULL DEFAULT 1,
    opens_at      timestamptz NOT NULL,
    closes_at     timestamptz NOT NULL CHECK (closes_at > opens_at),
    pay_window_us bigint NOT NULL,
    version       bigint NOT NULL DEFAULT 1
);
-- Legal moves.  draining -> settled is made by sale_settle alone, because units move with it.
CREATE TABLE sale_step (
    from_state smallint NOT NULL,
    to_state   smallint NOT NULL,
    lot_state  smallint NOT NULL, -- What the lots follow with.
    PRIMARY KEY (from_state, to_state)
);
INSERT INTO sale_step VALUES
    (1, 2, 1), -- draft -> scheduled
    (2, 3, 1), -- scheduled -> warming
    (3, 4, 1), -- warming -> ready
    (4, 5, 2), -- ready -> open
    (5, 6, 3), -- open -> paused
    (6, 5, 2), -- paused -> open
    (5, 7, 4), -- open -> closed
    (6, 7, 4), -- paused -> closed
    (7, 8, 4), -- closed -> draining
    (9, 10, 5); -- settled -> archived
CREATE TABLE sale_event (
    event_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sale_id    bigint NOT NULL,
    from_state smallint NOT NULL,
    to_state   smallint NOT NULL,
    at         timestamptz NOT NULL
);

CREATE TABLE stock_shard (
    shard  smallint PRIMARY KEY,
    epoch  bigint NOT NULL,
    run_id text NOT NULL DEFAULT '',
    boot   bigint NOT NULL DEFAULT 0
);

-- The guard row.  allocated and sold are folds of stock_movement.
CREATE TABLE lot (
    lot_id          bigint PRIMARY KEY,
    sale_id         bigint NOT NULL REFERENCES sale,
    sku_id          bigint NOT NULL REFERENCES sku,
    shard           smallint NOT NULL,
    state           smallint NOT NULL DEFAULT 1,
    allocated       bigint NOT NULL,
    sold            bigint NOT NULL DEFAULT 0,
    version         bigint NOT NULL DEFAULT 1,
    price           bigint NOT NULL CHECK (price >= 0),
    currency        text NOT NULL,
    price_version   bigint NOT NULL DEFAULT 1,
    per_buyer_limit integer NOT NULL,
    pay_window_us   bigint NOT NULL, -- The sale's, here so that a purchase reads one row.
    rid_after       bigint NOT NULL, -- All its orders have a larger rid: where scans begin.
    CONSTRAINT lot_guard CHECK (0 <= sold AND sold <= allocated)
) WITH (fillfactor = 50);
CREATE INDEX lot_sale ON lot (sale_id);
CREATE INDEX lot_sku ON lot (sku_id);

-- One row per accepted purchase.  Three btree indexes and no more: each costs every purchase.
CREATE TABLE orders (
    order_id   bigint PRIMARY KEY,
    rid        bigint NOT NULL CONSTRAINT orders_rid UNIQUE,
    user_id    bigint NOT NULL,
    lot_id     bigint NOT NULL,
    price      bigint NOT NULL, -- Of one unit, as pinned at the purchase.
    created_at timestamptz NOT NULL,
    pay_by     timestamptz NOT NULL,
    shard      smallint NOT NULL,
    state      smallint NOT NULL,
    quantity   smallint NOT NULL CHECK (quantity > 0),
    currency   text NOT NULL,
    address    text NOT NULL
) WITH (fillfactor = 90);
CREATE INDEX orders_user ON orders (user_id, order_id);
CREATE INDEX orders_pay_by ON orders USING brin (pay_by) WITH (pages_per_range = 32, autosummarize);

-- Does an order in this state hold units?
CREATE FUNCTION holds_units(state smallint) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT state IN (2, 3, 4, 5, 6, 9) $$;

CREATE TABLE refusal (
    rid        bigint PRIMARY KEY,
    order_id   bigint NOT NULL,
    user_id    bigint NOT NULL,
    lot_id     bigint NOT NULL,
    quantity   integer NOT NULL,
    reason     smallint NOT NULL,
    decided_at timestamptz NOT NULL
);
CREATE INDEX refusal_order ON refusal (order_id, rid);

-- Every change of general_stock.on_hand ('general'), lot.allocated and lot.sold.
CREATE TABLE stock_movement (
    movement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    counter     text NOT NULL CHECK (counter IN ('general', 'allocated', 'sold')),
    sku_id      bigint NOT NULL,
    lot_id      bigint, -- NULL for general stock.
    before      bigint NOT NULL,
    after       bigint NOT NULL,
    change      bigint NOT NULL CHECK (after = before + change),
    reason      text NOT NULL,
    first_rid   bigint,
    last_rid    bigint,
    reference   bigint, -- The command's id, so that a repeated command moves nothing.
    who         text NOT NULL DEFAULT current_user,
    at          timestamptz NOT NULL
);
CREATE UNIQUE INDEX stock_movement_reference ON stock_movement (reference, counter)
    WHERE reference IS NOT NULL;

-- From the second transition on; the first is the row in orders itself.
CREATE TABLE order_event (
    event_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id   bigint NOT NULL,
    from_state smallint NOT NULL,
    to_state   smallint NOT NULL,
    reference  bigint, -- Payment or reservation that made it.
    who        text NOT NULL DEFAULT current_user,
    at         timestamptz NOT NULL
);
CREATE INDEX order_event_order ON order_event (order_id);

CREATE TABLE payment (
    payment_id   bigint PRIMARY KEY,
    order_id     bigint NOT NULL REFERENCES orders,
    user_id      bigint NOT NULL,
    provider     text NOT NULL,
    state        smallint NOT NULL DEFAULT 1,
    todo         smallint NOT NULL DEFAULT 1, -- 0 = nothing.
    amount       bigint NOT NULL,
    currency     text NOT NULL,
    pay_url      text NOT NULL DEFAULT '',
    provider_txn text,
    created_at   timestamptz NOT NULL,
    touched_at   timestamptz NOT NULL,
    UNIQUE (provider, provider_txn)
);
CREATE UNIQUE INDEX payment_open ON payment (order_id) WHERE state IN (1, 2, 5);
CREATE INDEX payment_order ON payment (order_id);
CREATE INDEX payment_todo ON payment (touched_at) WHERE todo <> 0;
-- What providers told, whatever came of it; repetitions of a known result are left out.
CREATE TABLE payment_event (
    event_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id     bigint NOT NULL,
    order_id       bigint NOT NULL,
    provider       text NOT NULL,
    provider_event text NOT NULL,
    provider_txn   text NOT NULL,
    state          smallint NOT NULL,
    outcome        smallint NOT NULL,
    amount         bigint NOT NULL,
    currency       text NOT NULL,
    at             timestamptz NOT NULL
);

CREATE TABLE refund (
    refund_id  bigint PRIMARY KEY,
    payment_id bigint NOT NULL UNIQUE REFERENCES payment,
    order_id   bigint NOT NULL,
    state      smallint NOT NULL DEFAULT 1,
    amount     bigint NOT NULL,
    currency   text NOT NULL,
    created_at timestamptz NOT NULL,
    touched_at timestamptz NOT NULL
);
CREATE INDEX refund_pending ON refund (touched_at) WHERE state = 1;
CREATE INDEX refund_order ON refund (order_id);

-- Double entry: what one statement writes sums to zero per currency.
CREATE TABLE ledger (
    entry_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account    text NOT NULL, -- 'provider:<name>' or 'sales'
    amount     bigint NOT NULL,
    currency   text NOT NULL,
    order_id   bigint NOT NULL,
    payment_id bigint NOT NULL,
    refund_id  bigint, -- NULL for a capture.
    at         timestamptz NOT NULL
);
CREATE UNIQUE INDEX ledger_once ON ledger (payment_id, coalesce(refund_id, 0), account);
CREATE FUNCTION ledger_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM fresh GROUP BY currency HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'ledger entries do not sum to zero';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_balances AFTER INSERT ON ledger REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_balances();

-- Messages to people, written with the change they tell about.  A row with `orders` stands for one
-- message per order; outbox_take replaces it by those.
CREATE TABLE outbox (
    outbox_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    notice     smallint NOT NULL,
    user_id    bigint,
    order_id   bigint,
    orders     bigint[],
    attempts   integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    next_at    timestamptz NOT NULL, -- Moved on by a lease and by a retry.
    sent_at    timestamptz,
    dead_at    timestamptz,
    error      text NOT NULL DEFAULT ''
);
CREATE INDEX outbox_due ON outbox (next_at)
    WHERE sent_at IS NULL AND dead_at IS NULL AND orders IS NULL;
CREATE INDEX outbox_batches ON outbox (outbox_id) WHERE orders IS NOT NULL;
CREATE INDEX outbox_of_order ON outbox (order_id)
    WHERE sent_at IS NULL AND dead_at IS NULL AND order_id IS NOT NULL;

-- What was given up, for an operator.
CREATE TABLE dead_letter (
    letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    what      text NOT NULL,
    reference bigint NOT NULL,
    error     text NOT NULL,
    at        timestamptz NOT NULL
);

CREATE TABLE worker_lease (
    worker smallint PRIMARY KEY,
    holder text NOT NULL,
    until  timestamptz NOT NULL
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['stock_movement', 'order_event', 'sale_event', 'payment_event',
                                'ledger', 'refusal'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION keep_as_written()', name);
    END LOOP;
END $$;
