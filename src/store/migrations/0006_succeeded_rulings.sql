-- The first day of whatever took the place of a ruling in force: a standing one holds until then. Empty if nothing did. Of those that
-- are there the trail knows which were ever in force.
ALTER TABLE rulings ADD COLUMN succeeded_on TEXT NOT NULL DEFAULT '';
UPDATE rulings SET succeeded_on = COALESCE((SELECT MAX(s.effective_from) FROM ruling_names n JOIN rulings s ON s.id = n.ruling
    WHERE n.kind = 'supersedes' AND n.name = rulings.id AND s.status IN ('in_force', 'superseded')), '')
    WHERE status = 'superseded' AND EXISTS (SELECT 1 FROM audit_entries a WHERE a.ruling = rulings.id
    AND a.action IN ('ruling_recorded', 'ruling_changed') AND a.detail LIKE '%"status":"in_force"%');
