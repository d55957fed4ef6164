CREATE TABLE "backup" (
	"id" uuid PRIMARY KEY NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"updated_at" timestamp with time zone NOT NULL,
	"deleted_at" timestamp with time zone,
	"project_id" text NOT NULL,
	"created_by" text NOT NULL,
	"name" text NOT NULL,
	"description" text,
	"instance_id" uuid,
	"datastore_version_id" uuid NOT NULL,
	"state" text NOT NULL,
	"parent_id" uuid,
	"container" text NOT NULL,
	"prefix" text NOT NULL,
	"objects_of" uuid NOT NULL,
	"checksum" text,
	"data_bytes" bigint,
	"stored_bytes" bigint,
	"start_lsn" text,
	"stop_lsn" text,
	"timeline" integer,
	"system_identifier" text,
	"stopped_at" timestamp with time zone,
	"root_enabled" boolean DEFAULT false NOT NULL,
	"granted_until" timestamp with time zone,
	"clean_at" timestamp with time zone,
	"fault_message" text
);
--> statement-breakpoint
CREATE TABLE "backup_strategy" (
	"project_id" text NOT NULL,
	"instance_id" text DEFAULT '' NOT NULL,
	"container" text NOT NULL,
	CONSTRAINT "backup_strategy_project_id_instance_id_pk" PRIMARY KEY("project_id","instance_id")
);
--> statement-breakpoint
CREATE TABLE "data_key" (
	"id" uuid PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"wrapped" "bytea" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "project_key" (
	"project_id" text PRIMARY KEY NOT NULL,
	"wrapped" "bytea" NOT NULL,
	"made_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "wal_archive" (
	"instance_id" uuid PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"reach" jsonb,
	"granted_until" timestamp with time zone NOT NULL,
	"prune_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "guest_job" ADD COLUMN "progress_bytes" bigint;--> statement-breakpoint
ALTER TABLE "guest_job" ADD COLUMN "progress_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "instance" ADD COLUMN "backup_id" uuid;--> statement-breakpoint
ALTER TABLE "backup" ADD CONSTRAINT "backup_instance_id_instance_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."instance"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "backup" ADD CONSTRAINT "backup_datastore_version_id_datastore_version_id_fk" FOREIGN KEY ("datastore_version_id") REFERENCES "public"."datastore_version"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "backup" ADD CONSTRAINT "backup_parent_id_backup_id_fk" FOREIGN KEY ("parent_id") REFERENCES "public"."backup"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "wal_archive" ADD CONSTRAINT "wal_archive_instance_id_instance_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."instance"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "backup_by_project" ON "backup" USING btree ("project_id","updated_at","id") WHERE "backup"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "backup_by_instance" ON "backup" USING btree ("instance_id","updated_at") WHERE "backup"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "backup_by_parent" ON "backup" USING btree ("parent_id") WHERE "backup"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "backup_by_version" ON "backup" USING btree ("datastore_version_id") WHERE "backup"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "backup_to_clean" ON "backup" USING btree ("clean_at") WHERE "backup"."clean_at" is not null;--> statement-breakpoint
CREATE INDEX "data_key_by_project" ON "data_key" USING btree ("project_id","id");--> statement-breakpoint
CREATE INDEX "wal_archive_to_prune" ON "wal_archive" USING btree ("prune_at");