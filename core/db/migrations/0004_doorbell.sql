CREATE TABLE "guest_doorbell" (
	"instance_id" uuid PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"generation" integer NOT NULL,
	"sequence" bigint NOT NULL,
	"connection_id" text NOT NULL,
	"connected_at" timestamp with time zone NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	CONSTRAINT "guest_doorbell_connection_id_unique" UNIQUE("connection_id")
);
--> statement-breakpoint
ALTER TABLE "instance" ADD COLUMN "silence_seconds" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "guest_doorbell" ADD CONSTRAINT "guest_doorbell_instance_id_instance_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."instance"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "guest_doorbell_expiry" ON "guest_doorbell" USING btree ("expires_at");