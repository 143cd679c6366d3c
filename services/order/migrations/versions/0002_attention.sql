ALTER TABLE dead_letter ADD COLUMN subject TEXT;

ALTER TABLE dead_letter ADD COLUMN resolution TEXT;

ALTER TABLE dead_letter ADD COLUMN reason TEXT;

ALTER TABLE dead_letter ADD COLUMN resolved_by TEXT;

CREATE INDEX dead_letter_open ON dead_letter (at) WHERE resolved_at IS NULL;

CREATE TABLE attention_dismissed (
    id TEXT COLLATE "C" NOT NULL,
    mark TEXT NOT NULL,
    kind TEXT NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    detail TEXT NOT NULL,
    reason TEXT NOT NULL,
    dismissed_by TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (id, mark)
);

CREATE INDEX attention_dismissed_at ON attention_dismissed (at);
