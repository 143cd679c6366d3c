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

CREATE TABLE ledger (
    key TEXT COLLATE "C" NOT NULL,
    order_id TEXT COLLATE "C" NOT NULL,
    provider TEXT NOT NULL,
    operation TEXT NOT NULL,
    outcome TEXT NOT NULL,
    amount BIGINT,
    currency TEXT,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (key)
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

CREATE TABLE shipments (
    order_id TEXT COLLATE "C" NOT NULL,
    status TEXT DEFAULT 'NEW' NOT NULL,
    open BOOLEAN DEFAULT 'false' NOT NULL,
    cancel_wanted BOOLEAN DEFAULT 'false' NOT NULL,
    closed BOOLEAN DEFAULT 'false' NOT NULL,
    customer TEXT,
    checkout TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (order_id)
);
