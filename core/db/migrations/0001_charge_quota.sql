-- Adds what is wanted, [{resource, amount, fallback}], to a project's use, all of it or nothing. `fallback` is the
-- limit where no other was set; -1 = unlimited. SQLSTATE CF001 when a limit would be passed: an error, so
-- that a COMMIT sent along with the call undoes everything. Rows are locked in one order, by name.
CREATE FUNCTION charge_quota(project text, wanted jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  item record;
  most integer;
  exceeded text[] := '{}';
BEGIN
  FOR item IN
    SELECT resource, amount, fallback FROM jsonb_to_recordset(wanted) AS w (resource text, amount integer, fallback integer)
    ORDER BY resource COLLATE "C"
  LOOP
    SELECT hard_limit INTO most FROM quota WHERE project_id = project AND quota.resource = item.resource;
    most := coalesce(most, item.fallback);
    INSERT INTO quota_usage AS used (project_id, resource, in_use)
    SELECT project, item.resource, item.amount WHERE most = -1 OR item.amount <= most
    ON CONFLICT (project_id, resource) DO UPDATE SET in_use = used.in_use + excluded.in_use
    WHERE most = -1 OR used.in_use + excluded.in_use <= most;
    IF NOT FOUND THEN
      exceeded := exceeded || item.resource;
    END IF;
  END LOOP;
  IF exceeded <> '{}' THEN
    RAISE EXCEPTION USING ERRCODE = 'CF001', MESSAGE = 'quota exceeded', DETAIL = array_to_string(exceeded, ',');
  END IF;
END;
$$;
