"""What is looked at before anybody is asked: integrity, schema, security, performance."""
