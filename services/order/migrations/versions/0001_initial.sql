CREATE TABLE catalogue (
    sku TEXT NOT NULL,
    name TEXT NOT NULL,
    price BIGINT NOT NULL,
    currency TEXT NOT NULL,
    PRIMARY KEY (sku)
);

CREATE TABLE dead_letter (
    id TEXT NOT NULL,
    body BYTEA NOT NULL,
    cause TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    resolved_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id)
);

CREATE TABLE inbox (
    id TEXT COLLATE "C" NOT NULL,
    cause TEXT,
    claimed_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE journal (
    id TEXT COLLATE "C" NOT NULL,
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    subject TEXT COLLATE "C" NOT NULL,
    name TEXT NOT NULL,
    command TEXT NOT NULL,
    data TEXT NOT NULL,
    traceparent TEXT,
    recorded_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE orders (
    order_id TEXT COLLATE "C" NOT NULL,
    status TEXT DEFAULT 'NEW' NOT NULL,
    cancellation_reason TEXT,
    stock_settled BOOLEAN DEFAULT 'false' NOT NULL,
    payment_settled BOOLEAN DEFAULT 'false' NOT NULL,
    shipment_settled BOOLEAN DEFAULT 'false' NOT NULL,
    settled BOOLEAN DEFAULT 'false' NOT NULL,
    customer TEXT,
    idempotency_key TEXT,
    fingerprint TEXT,
    checkout TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    nudge_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    nudges INTEGER DEFAULT '0' NOT NULL,
    PRIMARY KEY (order_id),
    UNIQUE (customer, idempotency_key)
);

CREATE INDEX orders_by_time ON orders (created_at, order_id);

CREATE INDEX orders_of_customer ON orders (customer, created_at, order_id);

CREATE INDEX orders_open ON orders (created_at) WHERE NOT settled;

CREATE TABLE outbox (
    id TEXT COLLATE "C" NOT NULL,
    channel TEXT NOT NULL,
    key TEXT NOT NULL,
    type TEXT NOT NULL,
    body BYTEA NOT NULL,
    is_call BOOLEAN NOT NULL,
    token BIGINT NOT NULL,
    attempts INTEGER DEFAULT '0' NOT NULL,
    leased_until TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX outbox_due ON outbox (is_call, leased_until);
