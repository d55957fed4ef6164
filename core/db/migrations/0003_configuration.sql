CREATE TABLE "configuration" (
	"id" uuid PRIMARY KEY NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"updated_at" timestamp with time zone NOT NULL,
	"deleted_at" timestamp with time zone,
	"project_id" text NOT NULL,
	"name" text NOT NULL,
	"description" text,
	"datastore_version_id" uuid NOT NULL,
	"values" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "datastore_parameter" (
	"datastore_version_id" uuid NOT NULL,
	"name" text NOT NULL,
	"type" text NOT NULL,
	"min" double precision,
	"max" double precision,
	"unit" text,
	"values" jsonb,
	"restart_required" boolean NOT NULL,
	"origin" text NOT NULL,
	"deleted_at" timestamp with time zone,
	CONSTRAINT "datastore_parameter_datastore_version_id_name_pk" PRIMARY KEY("datastore_version_id","name")
);
--> statement-breakpoint
ALTER TABLE "instance" ADD COLUMN "configuration_id" uuid;--> statement-breakpoint
ALTER TABLE "instance" ADD COLUMN "configuration_pending" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "configuration" ADD CONSTRAINT "configuration_datastore_version_id_datastore_version_id_fk" FOREIGN KEY ("datastore_version_id") REFERENCES "public"."datastore_version"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "datastore_parameter" ADD CONSTRAINT "datastore_parameter_datastore_version_id_datastore_version_id_fk" FOREIGN KEY ("datastore_version_id") REFERENCES "public"."datastore_version"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "configuration_by_project" ON "configuration" USING btree ("project_id","id") WHERE "configuration"."deleted_at" is null;--> statement-breakpoint
ALTER TABLE "instance" ADD CONSTRAINT "instance_configuration_id_configuration_id_fk" FOREIGN KEY ("configuration_id") REFERENCES "public"."configuration"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "instance_by_configuration" ON "instance" USING btree ("configuration_id","id") WHERE "instance"."configuration_id" is not null;