CREATE TABLE "instance_module" (
	"instance_id" uuid NOT NULL,
	"module_id" uuid NOT NULL,
	"project_id" text NOT NULL,
	"status" text NOT NULL,
	"message" text,
	"md5" text NOT NULL,
	"contents" "bytea",
	"created_at" timestamp with time zone NOT NULL,
	"updated_at" timestamp with time zone NOT NULL,
	CONSTRAINT "instance_module_instance_id_module_id_pk" PRIMARY KEY("instance_id","module_id")
);
--> statement-breakpoint
CREATE TABLE "module" (
	"id" uuid PRIMARY KEY NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"updated_at" timestamp with time zone NOT NULL,
	"deleted_at" timestamp with time zone,
	"project_id" text NOT NULL,
	"shared" boolean NOT NULL,
	"name" text NOT NULL,
	"type" text NOT NULL,
	"description" text,
	"datastore_id" uuid,
	"datastore_version_id" uuid,
	"auto_apply" boolean NOT NULL,
	"visible" boolean NOT NULL,
	"live_update" boolean NOT NULL,
	"priority_apply" boolean NOT NULL,
	"apply_order" smallint NOT NULL,
	"is_admin" boolean NOT NULL,
	"contents" "bytea" NOT NULL,
	"md5" text NOT NULL
);
--> statement-breakpoint
ALTER TABLE "guest_job" ADD COLUMN "not_before" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "instance_module" ADD CONSTRAINT "instance_module_instance_id_instance_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."instance"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "instance_module" ADD CONSTRAINT "instance_module_module_id_module_id_fk" FOREIGN KEY ("module_id") REFERENCES "public"."module"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "module" ADD CONSTRAINT "module_datastore_id_datastore_id_fk" FOREIGN KEY ("datastore_id") REFERENCES "public"."datastore"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "module" ADD CONSTRAINT "module_datastore_version_id_datastore_version_id_fk" FOREIGN KEY ("datastore_version_id") REFERENCES "public"."datastore_version"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "instance_module_by_module" ON "instance_module" USING btree ("module_id","instance_id");--> statement-breakpoint
CREATE INDEX "module_by_project" ON "module" USING btree ("project_id","id") WHERE "module"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "module_shared" ON "module" USING btree ("id") WHERE "module"."shared" and "module"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "module_unique" ON "module" USING btree ("name","type",(case when "shared" then '' else "project_id" end),coalesce("datastore_id"::text, ''),coalesce("datastore_version_id"::text, '')) WHERE "module"."deleted_at" is null;