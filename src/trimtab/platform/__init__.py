"""What the machine gives: settings, database, blobs, durable jobs, limited children, logs."""
