ALTER TABLE orders ADD COLUMN pruned BOOLEAN DEFAULT 'false' NOT NULL;

CREATE INDEX orders_unpruned ON orders (created_at, order_id) WHERE NOT pruned;
