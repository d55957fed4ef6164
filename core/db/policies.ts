/**
 * Grants and row-level security, applied after every migration; the text is idempotent, so a
 * new table with a `project_id` is covered the day it arrives. `coffer_app` serves tenants and
 * sees rows of the acting project only (all of them for an admin); `coffer_system` carries
 * workflows, relay and sweeps. FORCE makes the rules hold for the owner as well.
 */
export const policies = `
grant usage on schema public to coffer_app, coffer_system;
grant usage on schema identity to coffer_system;

grant usage on schema drizzle to coffer_system;
grant select on all tables in schema drizzle to coffer_system;

grant select, insert, update, delete on all tables in schema public to coffer_system;

grant select, insert, update, delete on all tables in schema identity to coffer_system;
grant usage on all sequences in schema public to coffer_app, coffer_system;

revoke all on all tables in schema public from coffer_app;
grant select on installation, flavor to coffer_app;
grant select, insert, update on instance, configuration, operation, outbox, guest_job, root_history, quota, quota_usage, rate_bucket, module, backup to coffer_app;
grant select, delete on instance_module to coffer_app;
grant select, insert, update, delete on backup_strategy to coffer_app;
grant select, insert, update on datastore, datastore_version, datastore_parameter to coffer_app;
grant select on operation_step, resource, wal_archive to coffer_app;
grant select, delete on guest_doorbell to coffer_app;
grant delete on guest_job to coffer_app;
grant insert on event to coffer_app;
grant select, insert, delete on secret, secret_consumer to coffer_app;
grant select (instance_id, project_id, inventory, logs, agent_version, last_seen_at, sealing_key, position, position_at) on guest to coffer_app;

do $$
declare
  tenant_table text;
begin
  for tenant_table in
    select c.table_name from information_schema.columns c
    join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = 'public' and c.column_name = 'project_id' and t.table_type = 'BASE TABLE'
  loop
    execute format('alter table %I enable row level security', tenant_table);
    execute format('alter table %I force row level security', tenant_table);
    execute format('drop policy if exists tenant on %I', tenant_table);
    execute format(
      'create policy tenant on %I to coffer_app using ('
      '(select current_setting(''coffer.admin'', true)) = ''on'' or '
      'project_id = (select current_setting(''coffer.project_id'', true)))', tenant_table);
    execute format('drop policy if exists system on %I', tenant_table);
    execute format('create policy system on %I to coffer_system using (true)', tenant_table);
  end loop;
end $$;

-- Those of all projects are read by all; changing them stays with their project and administrators.
drop policy if exists shared on module;
create policy shared on module for select to coffer_app using (shared);

-- Of no project: read by all, changed by administrators.
do $$
declare
  catalogue_table text;
begin
  foreach catalogue_table in array array['datastore', 'datastore_version', 'datastore_parameter'] loop
    execute format('alter table %I enable row level security', catalogue_table);
    execute format('alter table %I force row level security', catalogue_table);
    execute format('drop policy if exists system on %I', catalogue_table);
    execute format('create policy system on %I to coffer_system using (true)', catalogue_table);
    execute format('drop policy if exists readable on %I', catalogue_table);
    execute format('create policy readable on %I for select to coffer_app using (true)', catalogue_table);
    execute format('drop policy if exists administered on %I', catalogue_table);
    execute format('create policy administered on %I to coffer_app using ((select current_setting(''coffer.admin'', true)) = ''on'')', catalogue_table);
  end loop;
end $$;
`;
