ALTER TABLE "datastore" ADD COLUMN "deleted_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "datastore_version" ADD COLUMN "deleted_at" timestamp with time zone;