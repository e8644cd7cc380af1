-- What left the trail for a file is said by an entry of the trail itself. There are few of these among very many.
CREATE INDEX audit_entries_archived ON audit_entries (number) WHERE action = 'archived';
