CREATE TABLE outbox_batch (
    token BIGINT NOT NULL,
    ids TEXT[] NOT NULL,
    channels TEXT[] NOT NULL,
    keys TEXT[] NOT NULL,
    types TEXT[] NOT NULL,
    bodies BYTEA[] NOT NULL,
    leased_until TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (token)
);

ALTER TABLE outbox_batch ALTER ids SET STORAGE EXTERNAL, ALTER keys SET STORAGE EXTERNAL,
    ALTER channels SET STORAGE EXTERNAL, ALTER types SET STORAGE EXTERNAL, ALTER bodies SET STORAGE EXTERNAL;

CREATE INDEX outbox_batch_due ON outbox_batch (leased_until);

CREATE VIEW outbox_waiting AS
    SELECT id, channel, key, type, is_call, token, attempts, leased_until, created_at FROM outbox
    UNION ALL
    SELECT u.id COLLATE "C", u.channel, u.key, u.type, false, token, 0, leased_until, created_at
    FROM outbox_batch, unnest(ids, channels, keys, types) AS u (id, channel, key, type);
