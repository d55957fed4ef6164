CREATE TABLE "event_audit" (
	"kind" text PRIMARY KEY NOT NULL,
	"told_until" timestamp with time zone NOT NULL,
	"after" text
);
--> statement-breakpoint
CREATE TABLE "event" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"seq" bigserial NOT NULL,
	"project_id" text NOT NULL,
	"stream" text NOT NULL,
	"type" text NOT NULL,
	"publisher" text NOT NULL,
	"payload" jsonb NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"due_at" timestamp with time zone NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"sent_at" timestamp with time zone
);
--> statement-breakpoint
ALTER TABLE "guest" ADD COLUMN "certificate_ends_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "guest" ADD COLUMN "certificate_told_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "guest_job" ADD COLUMN "notice" jsonb;--> statement-breakpoint
ALTER TABLE "operation" ADD COLUMN "notice" jsonb;--> statement-breakpoint
CREATE INDEX "event_due" ON "event" USING btree ("due_at","seq") WHERE "event"."sent_at" is null;--> statement-breakpoint
CREATE INDEX "event_stream" ON "event" USING btree ("stream","seq") WHERE "event"."sent_at" is null;--> statement-breakpoint
CREATE INDEX "event_sent" ON "event" USING btree ("sent_at") WHERE "event"."sent_at" is not null;--> statement-breakpoint
CREATE INDEX "instance_present_by_update" ON "instance" USING btree ("updated_at","id") WHERE "instance"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "instance_gone_by_update" ON "instance" USING btree ("updated_at","id") WHERE "instance"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "instance_by_project_and_update" ON "instance" USING btree ("project_id","updated_at","id");