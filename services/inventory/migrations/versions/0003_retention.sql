ALTER TABLE reservations ADD COLUMN pruned BOOLEAN DEFAULT 'false' NOT NULL;

CREATE INDEX reservations_unpruned ON reservations (created_at, order_id) WHERE NOT pruned;
