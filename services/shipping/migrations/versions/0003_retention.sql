ALTER TABLE shipments ADD COLUMN pruned BOOLEAN DEFAULT 'false' NOT NULL;

CREATE INDEX shipments_unpruned ON shipments (created_at, order_id) WHERE NOT pruned;
