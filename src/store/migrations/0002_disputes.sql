-- Orders as they were last routed, masked: what a return is answered by, and what a repeat is found by. `change` numbers every change
-- of any order in the order in which they were committed.
CREATE TABLE orders (
    order_id TEXT NOT NULL PRIMARY KEY,
    change BIGINT NOT NULL,
    received_on TEXT NOT NULL,
    appeal TEXT NOT NULL,
    caller TEXT NOT NULL,
    closed BIGINT NOT NULL,
    update_time TEXT NOT NULL
);
CREATE UNIQUE INDEX orders_by_change ON orders (change);
CREATE INDEX orders_by_update ON orders (update_time);

-- Returns. Their order of reporting means nothing: they are read by the time at which they happened.
CREATE TABLE returns (
    id TEXT NOT NULL PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES orders (order_id),
    department TEXT NOT NULL,
    unit TEXT NOT NULL,
    reason TEXT NOT NULL,
    note TEXT NOT NULL,
    day TEXT NOT NULL,
    returned_at TEXT NOT NULL,
    reported_at TEXT NOT NULL,
    deadline TEXT NOT NULL,
    contests TEXT NOT NULL,
    actor TEXT NOT NULL
);
CREATE INDEX returns_by_order ON returns (order_id);

-- Cases: one an order, once its returns make one. `ruling` is empty while it is open.
CREATE TABLE cases (
    id TEXT NOT NULL PRIMARY KEY,
    order_id TEXT NOT NULL UNIQUE REFERENCES orders (order_id),
    opened_at TEXT NOT NULL,
    ruling TEXT NOT NULL,
    closed_at TEXT NOT NULL
);
CREATE INDEX cases_by_state ON cases (ruling, id);

-- The number of the last change of the orders. One row: who changes it, goes first.
CREATE TABLE last_order_change (number BIGINT NOT NULL);
INSERT INTO last_order_change (number) VALUES (0);
