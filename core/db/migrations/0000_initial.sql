CREATE SCHEMA "identity";
--> statement-breakpoint
CREATE TABLE "datastore" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"manager" text NOT NULL,
	"default_version_id" uuid,
	CONSTRAINT "datastore_name_unique" UNIQUE("name")
);
--> statement-breakpoint
CREATE TABLE "datastore_version" (
	"id" uuid PRIMARY KEY NOT NULL,
	"datastore_id" uuid NOT NULL,
	"name" text NOT NULL,
	"version" text NOT NULL,
	"manager" text NOT NULL,
	"active" boolean DEFAULT true NOT NULL,
	"image" text DEFAULT '' NOT NULL,
	"image_tags" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"packages" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"registry_ext" text DEFAULT '' NOT NULL,
	"repl_strategy" text DEFAULT '' NOT NULL
);
--> statement-breakpoint
CREATE TABLE "installation" (
	"only" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"id" text NOT NULL,
	"created_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "outbox" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"topic" text NOT NULL,
	"payload" jsonb NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"sent_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "flavor" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"ram_mb" integer NOT NULL,
	"vcpus" integer NOT NULL,
	"disk_gb" integer DEFAULT 0 NOT NULL,
	"ephemeral_gb" integer DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "guest" (
	"instance_id" uuid PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"generation" integer NOT NULL,
	"token_hash" "bytea",
	"token_expires_at" timestamp with time zone,
	"public_key" "bytea",
	"next_public_key" "bytea",
	"last_sequence" bigint DEFAULT 0 NOT NULL,
	"revoked_at" timestamp with time zone,
	"agent_version" text,
	"protocol" integer,
	"last_seen_at" timestamp with time zone,
	"inventory" jsonb
);
--> statement-breakpoint
CREATE TABLE "guest_job" (
	"id" uuid PRIMARY KEY NOT NULL,
	"seq" bigserial NOT NULL,
	"instance_id" uuid NOT NULL,
	"project_id" text NOT NULL,
	"generation" integer NOT NULL,
	"kind" text NOT NULL,
	"spec" jsonb,
	"state" text DEFAULT 'queued' NOT NULL,
	"result" jsonb,
	"error" text,
	"request_id" text,
	"created_at" timestamp with time zone NOT NULL,
	"finished_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "instance" (
	"id" uuid PRIMARY KEY NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"updated_at" timestamp with time zone NOT NULL,
	"deleted_at" timestamp with time zone,
	"project_id" text NOT NULL,
	"created_by" text NOT NULL,
	"name" text NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"generation" integer DEFAULT 1 NOT NULL,
	"desired" text DEFAULT 'present' NOT NULL,
	"task" text NOT NULL,
	"server_state" text NOT NULL,
	"service_status" text NOT NULL,
	"service_status_at" timestamp with time zone NOT NULL,
	"datastore_version_id" uuid NOT NULL,
	"flavor_id" text NOT NULL,
	"volume_gb" integer NOT NULL,
	"volume_type" text,
	"volume_used_bytes" bigint,
	"volume_total_bytes" bigint,
	"region" text NOT NULL,
	"availability_zone" text,
	"locality" text,
	"nics" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"access" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"address" text,
	"port" integer,
	"root_enabled" boolean DEFAULT false NOT NULL,
	"fault_message" text,
	"fault_details" text,
	"fault_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "resource" (
	"instance_id" uuid NOT NULL,
	"project_id" text NOT NULL,
	"kind" text NOT NULL,
	"name" text PRIMARY KEY NOT NULL,
	"external_id" text,
	"call_deadline" timestamp with time zone,
	"removed_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "root_history" (
	"id" uuid PRIMARY KEY NOT NULL,
	"instance_id" uuid NOT NULL,
	"project_id" text NOT NULL,
	"user_id" text NOT NULL,
	"enabled_at" timestamp with time zone NOT NULL,
	"disabled_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "operation" (
	"id" uuid PRIMARY KEY NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"updated_at" timestamp with time zone NOT NULL,
	"project_id" text NOT NULL,
	"instance_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"run" integer DEFAULT 1 NOT NULL,
	"input" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"label" text NOT NULL,
	"attempt" integer DEFAULT 0 NOT NULL,
	"deadline" timestamp with time zone NOT NULL,
	"wake_at" timestamp with time zone NOT NULL,
	"failure" jsonb,
	"cancel_requested" boolean DEFAULT false NOT NULL,
	"lease_owner" text,
	"lease_until" timestamp with time zone,
	"lease_generation" integer DEFAULT 0 NOT NULL,
	"outcome" text,
	"finished_at" timestamp with time zone,
	"request_id" text,
	"actor" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "operation_step" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"operation_id" uuid NOT NULL,
	"project_id" text NOT NULL,
	"run" integer NOT NULL,
	"label" text NOT NULL,
	"attempt" integer NOT NULL,
	"started_at" timestamp with time zone NOT NULL,
	"finished_at" timestamp with time zone,
	"polls" integer DEFAULT 1 NOT NULL,
	"outcome" text,
	"error" text
);
--> statement-breakpoint
CREATE TABLE "quota" (
	"project_id" text NOT NULL,
	"resource" text NOT NULL,
	"hard_limit" integer NOT NULL,
	CONSTRAINT "quota_project_id_resource_pk" PRIMARY KEY("project_id","resource")
);
--> statement-breakpoint
CREATE TABLE "quota_usage" (
	"project_id" text NOT NULL,
	"resource" text NOT NULL,
	"in_use" integer NOT NULL,
	CONSTRAINT "quota_usage_project_id_resource_pk" PRIMARY KEY("project_id","resource")
);
--> statement-breakpoint
CREATE TABLE "identity"."user" (
	"id" text PRIMARY KEY NOT NULL,
	"domain_id" text NOT NULL,
	"name" text NOT NULL,
	"password_hash" text NOT NULL,
	"password_version" integer DEFAULT 1 NOT NULL,
	"enabled" boolean DEFAULT true NOT NULL,
	CONSTRAINT "user_domain_id_name_unique" UNIQUE("domain_id","name")
);
--> statement-breakpoint
CREATE TABLE "identity"."assignment" (
	"user_id" text NOT NULL,
	"project_id" text NOT NULL,
	"role_id" text NOT NULL,
	CONSTRAINT "assignment_user_id_project_id_role_id_pk" PRIMARY KEY("user_id","project_id","role_id")
);
--> statement-breakpoint
CREATE TABLE "identity"."domain" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"enabled" boolean DEFAULT true NOT NULL,
	CONSTRAINT "domain_name_unique" UNIQUE("name")
);
--> statement-breakpoint
CREATE TABLE "identity"."project" (
	"id" text PRIMARY KEY NOT NULL,
	"domain_id" text NOT NULL,
	"name" text NOT NULL,
	"description" text DEFAULT '' NOT NULL,
	"enabled" boolean DEFAULT true NOT NULL,
	CONSTRAINT "project_domain_id_name_unique" UNIQUE("domain_id","name")
);
--> statement-breakpoint
CREATE TABLE "identity"."revoked" (
	"audit_id" text PRIMARY KEY NOT NULL,
	"expires_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "identity"."role" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	CONSTRAINT "role_name_unique" UNIQUE("name")
);
--> statement-breakpoint
CREATE TABLE "identity"."service" (
	"id" text PRIMARY KEY NOT NULL,
	"type" text NOT NULL,
	"name" text NOT NULL,
	CONSTRAINT "service_type_unique" UNIQUE("type")
);
--> statement-breakpoint
ALTER TABLE "datastore_version" ADD CONSTRAINT "datastore_version_datastore_id_datastore_id_fk" FOREIGN KEY ("datastore_id") REFERENCES "public"."datastore"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "guest" ADD CONSTRAINT "guest_instance_id_instance_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."instance"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "guest_job" ADD CONSTRAINT "guest_job_instance_id_instance_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."instance"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "instance" ADD CONSTRAINT "instance_datastore_version_id_datastore_version_id_fk" FOREIGN KEY ("datastore_version_id") REFERENCES "public"."datastore_version"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "resource" ADD CONSTRAINT "resource_instance_id_instance_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."instance"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "root_history" ADD CONSTRAINT "root_history_instance_id_instance_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."instance"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "operation" ADD CONSTRAINT "operation_instance_id_instance_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."instance"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "operation_step" ADD CONSTRAINT "operation_step_operation_id_operation_id_fk" FOREIGN KEY ("operation_id") REFERENCES "public"."operation"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "identity"."user" ADD CONSTRAINT "user_domain_id_domain_id_fk" FOREIGN KEY ("domain_id") REFERENCES "identity"."domain"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "identity"."assignment" ADD CONSTRAINT "assignment_user_id_user_id_fk" FOREIGN KEY ("user_id") REFERENCES "identity"."user"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "identity"."assignment" ADD CONSTRAINT "assignment_project_id_project_id_fk" FOREIGN KEY ("project_id") REFERENCES "identity"."project"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "identity"."assignment" ADD CONSTRAINT "assignment_role_id_role_id_fk" FOREIGN KEY ("role_id") REFERENCES "identity"."role"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "identity"."project" ADD CONSTRAINT "project_domain_id_domain_id_fk" FOREIGN KEY ("domain_id") REFERENCES "identity"."domain"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "datastore_version_by_datastore" ON "datastore_version" USING btree ("datastore_id");--> statement-breakpoint
CREATE INDEX "outbox_unsent" ON "outbox" USING btree ("id") WHERE "outbox"."sent_at" is null;--> statement-breakpoint
CREATE INDEX "guest_job_queue" ON "guest_job" USING btree ("instance_id","seq") WHERE "guest_job"."state" = 'queued';--> statement-breakpoint
CREATE INDEX "instance_by_project" ON "instance" USING btree ("project_id","id") WHERE "instance"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "instance_by_update" ON "instance" USING btree ("updated_at","id");--> statement-breakpoint
CREATE INDEX "resource_by_instance" ON "resource" USING btree ("instance_id");--> statement-breakpoint
CREATE UNIQUE INDEX "operation_running" ON "operation" USING btree ("instance_id") WHERE "operation"."outcome" is null;--> statement-breakpoint
CREATE INDEX "operation_due" ON "operation" USING btree ("wake_at") WHERE "operation"."outcome" is null;--> statement-breakpoint
CREATE INDEX "operation_by_instance" ON "operation" USING btree ("instance_id","created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "operation_step_once" ON "operation_step" USING btree ("operation_id","run","label","attempt");--> statement-breakpoint
CREATE INDEX "assignment_project" ON "identity"."assignment" USING btree ("project_id");--> statement-breakpoint
CREATE INDEX "revoked_expires_at" ON "identity"."revoked" USING btree ("expires_at");