-- When an order was first asked for: of two that are alike the later repeats the earlier, however often either is asked for again.
-- Of those that are there nobody noted it; the last time comes nearest.
ALTER TABLE orders ADD COLUMN first_seen TEXT NOT NULL DEFAULT '';
UPDATE orders SET first_seen = update_time;
