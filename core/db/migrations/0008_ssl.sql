CREATE TABLE "secret" (
	"id" uuid PRIMARY KEY NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"updated_at" timestamp with time zone NOT NULL,
	"project_id" text NOT NULL,
	"creator_id" text NOT NULL,
	"name" text,
	"secret_type" text NOT NULL,
	"algorithm" text,
	"bit_length" integer,
	"mode" text,
	"content_type" text NOT NULL,
	"sealed" "bytea" NOT NULL,
	"expires_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "secret_consumer" (
	"secret_id" uuid NOT NULL,
	"project_id" text NOT NULL,
	"service" text NOT NULL,
	"resource_type" text NOT NULL,
	"resource_id" text NOT NULL,
	CONSTRAINT "secret_consumer_secret_id_service_resource_type_resource_id_pk" PRIMARY KEY("secret_id","service","resource_type","resource_id")
);
--> statement-breakpoint
ALTER TABLE "guest" ADD COLUMN "sealing_key" text;--> statement-breakpoint
ALTER TABLE "instance" ADD COLUMN "ssl_mode" text DEFAULT 'builtin' NOT NULL;--> statement-breakpoint
ALTER TABLE "instance" ADD COLUMN "ssl_container_ref" text;--> statement-breakpoint
ALTER TABLE "instance" ADD COLUMN "ssl_password_ref" text;--> statement-breakpoint
ALTER TABLE "secret_consumer" ADD CONSTRAINT "secret_consumer_secret_id_secret_id_fk" FOREIGN KEY ("secret_id") REFERENCES "public"."secret"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "secret_by_project" ON "secret" USING btree ("project_id","created_at","id");