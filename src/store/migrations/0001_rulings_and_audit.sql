-- Rulings. `document` is the whole record as JSON; the other columns are what it is found by. `change` numbers every change of
-- any ruling in the order in which they were committed: replicas ask for what came after the last they know.
CREATE TABLE rulings (
    id TEXT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL,
    change BIGINT NOT NULL,
    scope TEXT NOT NULL,
    status TEXT NOT NULL,
    body BIGINT NOT NULL,
    matter TEXT NOT NULL,
    lead_department TEXT NOT NULL,
    decided_on TEXT NOT NULL,
    effective_from TEXT NOT NULL,
    effective_to TEXT NOT NULL,
    create_time TEXT NOT NULL,
    update_time TEXT NOT NULL,
    document TEXT NOT NULL
);
CREATE UNIQUE INDEX rulings_by_change ON rulings (change);
CREATE INDEX rulings_by_lead ON rulings (lead_department);

-- The words that a ruling is found by.
CREATE TABLE ruling_words (
    word TEXT NOT NULL,
    ruling TEXT NOT NULL REFERENCES rulings (id),
    PRIMARY KEY (word, ruling)
);
CREATE INDEX ruling_words_by_ruling ON ruling_words (ruling);

-- What a ruling names, by kind: order, district, supporting, excluded, contesting.
CREATE TABLE ruling_names (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    ruling TEXT NOT NULL REFERENCES rulings (id),
    PRIMARY KEY (kind, name, ruling)
);
CREATE INDEX ruling_names_by_ruling ON ruling_names (ruling);

-- Embeddings of a revision's texts by one model, so that they are computed once; f32, little endian, one after the other.
CREATE TABLE ruling_embeddings (
    ruling TEXT NOT NULL REFERENCES rulings (id),
    model_version TEXT NOT NULL,
    revision BIGINT NOT NULL,
    vectors BYTEA NOT NULL,
    PRIMARY KEY (ruling, model_version)
);

-- The number of the last change of the rulings. One row: who changes it, goes first.
CREATE TABLE last_change (number BIGINT NOT NULL);
INSERT INTO last_change (number) VALUES (0);

-- The audit trail: each entry holds the hash of the one before.
CREATE TABLE audit_entries (
    number BIGINT NOT NULL PRIMARY KEY,
    time TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    order_id TEXT NOT NULL,
    ruling TEXT NOT NULL,
    versions TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX audit_entries_by_order ON audit_entries (order_id, number);
CREATE INDEX audit_entries_by_ruling ON audit_entries (ruling, number);

-- Its last entry, so that one cut off at the end is missed too.
CREATE TABLE audit_head (number BIGINT NOT NULL, hash TEXT NOT NULL);
INSERT INTO audit_head (number, hash) VALUES (0, '');
