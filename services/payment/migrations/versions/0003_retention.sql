ALTER TABLE payments ADD COLUMN pruned BOOLEAN DEFAULT 'false' NOT NULL;

CREATE INDEX payments_unpruned ON payments (created_at, order_id) WHERE NOT pruned;
