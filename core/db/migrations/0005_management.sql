CREATE TABLE "rate_bucket" (
	"project_id" text NOT NULL,
	"method" text NOT NULL,
	"tokens" double precision NOT NULL,
	"at" timestamp with time zone NOT NULL,
	CONSTRAINT "rate_bucket_project_id_method_pk" PRIMARY KEY("project_id","method")
);
--> statement-breakpoint
ALTER TABLE "datastore" ADD COLUMN "deleted_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "datastore_version" ADD COLUMN "deleted_at" timestamp with time zone;