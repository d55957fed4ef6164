ALTER TABLE "guest" ADD COLUMN "position" jsonb;--> statement-breakpoint
ALTER TABLE "guest" ADD COLUMN "position_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "instance" ADD COLUMN "replica_of" uuid;--> statement-breakpoint
ALTER TABLE "instance" ADD CONSTRAINT "instance_replica_of_instance_id_fk" FOREIGN KEY ("replica_of") REFERENCES "public"."instance"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "instance_by_source" ON "instance" USING btree ("replica_of","id") WHERE "instance"."replica_of" is not null;