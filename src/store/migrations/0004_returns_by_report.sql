-- The district that an order belongs to by the word of whoever returned it; empty if nothing was said. It stands above what the
-- order is routed with later.
ALTER TABLE returns ADD COLUMN district TEXT NOT NULL DEFAULT '';

-- Who follows the returns asks for the latest every second.
CREATE INDEX returns_by_report ON returns (reported_at);
CREATE INDEX cases_by_close ON cases (closed_at);
