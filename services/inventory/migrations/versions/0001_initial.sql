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

CREATE TABLE reservations (
    order_id TEXT COLLATE "C" NOT NULL,
    status TEXT DEFAULT 'NEW' NOT NULL,
    closed BOOLEAN DEFAULT 'false' NOT NULL,
    customer TEXT,
    lines TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (order_id)
);

CREATE TABLE stock_items (
    sku TEXT COLLATE "C" NOT NULL,
    name TEXT NOT NULL,
    price BIGINT NOT NULL,
    currency TEXT NOT NULL,
    received BIGINT NOT NULL,
    available BIGINT NOT NULL,
    reserved BIGINT DEFAULT '0' NOT NULL,
    committed BIGINT DEFAULT '0' NOT NULL,
    PRIMARY KEY (sku),
    CONSTRAINT nothing_negative CHECK (available >= 0 AND reserved >= 0 AND committed >= 0),
    CONSTRAINT stock_is_conserved CHECK (available + reserved + committed = received)
);
