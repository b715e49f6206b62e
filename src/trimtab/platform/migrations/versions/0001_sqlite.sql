CREATE TABLE action_permits (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	remediation VARCHAR(80) NOT NULL,
	incident VARCHAR(80) NOT NULL,
	action VARCHAR(40) NOT NULL,
	args_digest VARCHAR(71) NOT NULL,
	target VARCHAR(200) NOT NULL,
	policy_digest VARCHAR(71) NOT NULL,
	epoch INTEGER NOT NULL,
	issued_at VARCHAR(27) NOT NULL,
	expires_at VARCHAR(27) NOT NULL,
	sealed TEXT NOT NULL,
	consumed_at VARCHAR(27),
	CONSTRAINT pk_action_permits PRIMARY KEY (id),
	CONSTRAINT uq_action_permits_remediation UNIQUE (remediation)
)
;
CREATE TABLE api_keys (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	account VARCHAR(80) NOT NULL,
	tenant VARCHAR(80),
	scopes JSON NOT NULL,
	sha256 VARCHAR(64) NOT NULL,
	default_model VARCHAR(63),
	created_at VARCHAR(27) NOT NULL,
	expires_at VARCHAR(27),
	revoked_at VARCHAR(27),
	wrapped VARCHAR(200),
	CONSTRAINT pk_api_keys PRIMARY KEY (id)
)
;
CREATE TABLE approvals (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) NOT NULL,
	tenant VARCHAR(80),
	version_id VARCHAR(80) NOT NULL,
	target JSON NOT NULL,
	requested_by VARCHAR(80) NOT NULL,
	requested_person VARCHAR(80),
	comment TEXT NOT NULL,
	steps JSON NOT NULL,
	min_people INTEGER NOT NULL,
	excluded JSON NOT NULL,
	votes JSON NOT NULL,
	criteria JSON NOT NULL,
	automatic BOOLEAN NOT NULL,
	phase VARCHAR(20) NOT NULL,
	requested_at VARCHAR(27) NOT NULL,
	decided_at VARCHAR(27),
	due_at VARCHAR(27),
	CONSTRAINT pk_approvals PRIMARY KEY (id)
)
;
CREATE INDEX ix_approvals_due_at ON approvals (due_at)
;
CREATE INDEX ix_approvals_version_id ON approvals (version_id)
;
CREATE TABLE check_runs (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) NOT NULL,
	tenant VARCHAR(80),
	version_id VARCHAR(80) NOT NULL,
	version VARCHAR(23) NOT NULL,
	digest VARCHAR(71) NOT NULL,
	name VARCHAR(40) NOT NULL,
	verdict VARCHAR(20) NOT NULL,
	reason TEXT NOT NULL,
	numbers JSON NOT NULL,
	policy_digest VARCHAR(71) NOT NULL,
	attempt INTEGER NOT NULL,
	at VARCHAR(27) NOT NULL,
	due_at VARCHAR(27),
	CONSTRAINT pk_check_runs PRIMARY KEY (id)
)
;
CREATE INDEX ix_check_runs_due_at ON check_runs (due_at)
;
CREATE UNIQUE INDEX uq_check_runs_attempt ON check_runs (version_id, name, attempt)
;
CREATE TABLE compliance_waivers (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	tenant VARCHAR(80),
	rule VARCHAR(80) NOT NULL,
	connection VARCHAR(80) NOT NULL,
	model TEXT NOT NULL,
	version BIGINT,
	reason TEXT NOT NULL,
	granted_by VARCHAR(80) NOT NULL,
	granted_at VARCHAR(27) NOT NULL,
	expires_at VARCHAR(27) NOT NULL,
	revoked_at VARCHAR(27),
	CONSTRAINT pk_compliance_waivers PRIMARY KEY (id)
)
;
CREATE INDEX ix_compliance_waivers_connection ON compliance_waivers (connection)
;
CREATE INDEX ix_compliance_waivers_expires_at ON compliance_waivers (expires_at)
;
CREATE TABLE connections (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	tenant VARCHAR(80),
	kind VARCHAR(20) NOT NULL,
	name VARCHAR(63) NOT NULL,
	url TEXT NOT NULL,
	mode VARCHAR(10) NOT NULL,
	auth JSON NOT NULL,
	networks JSON NOT NULL,
	tag_map JSON,
	webhook VARCHAR(200),
	paused BOOLEAN NOT NULL,
	health VARCHAR(10) NOT NULL,
	health_reason TEXT NOT NULL,
	server TEXT NOT NULL,
	identity TEXT NOT NULL,
	may_write BOOLEAN,
	warnings JSON NOT NULL,
	created_by VARCHAR(80) NOT NULL,
	created_at VARCHAR(27) NOT NULL,
	removed_at VARCHAR(27),
	CONSTRAINT pk_connections PRIMARY KEY (id)
)
;
CREATE UNIQUE INDEX uq_connections_name ON connections (coalesce(tenant, ''), name) WHERE removed_at IS NULL
;
CREATE TABLE cursors (
	name VARCHAR(80) NOT NULL,
	sequence BIGINT NOT NULL,
	CONSTRAINT pk_cursors PRIMARY KEY (name)
)
;
CREATE TABLE deployments (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) NOT NULL,
	tenant VARCHAR(80),
	environment VARCHAR(40) NOT NULL,
	version VARCHAR(23) NOT NULL,
	digest VARCHAR(71) NOT NULL,
	state VARCHAR(20) NOT NULL,
	percent DOUBLE NOT NULL,
	salt VARCHAR(80) NOT NULL,
	permit VARCHAR(80) NOT NULL,
	since VARCHAR(27) NOT NULL,
	CONSTRAINT pk_deployments PRIMARY KEY (id)
)
;
CREATE INDEX ix_deployments_place ON deployments (model, environment, state)
;
CREATE UNIQUE INDEX uq_deployments_one_canary ON deployments (model, coalesce(tenant, ''), environment) WHERE state = 'canary'
;
CREATE UNIQUE INDEX uq_deployments_one_stable ON deployments (model, coalesce(tenant, ''), environment) WHERE state = 'stable'
;
CREATE TABLE diagnoses (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	incident VARCHAR(80) NOT NULL,
	model VARCHAR(63) NOT NULL,
	tenant VARCHAR(80),
	verdict VARCHAR(20) NOT NULL,
	analysis JSON NOT NULL,
	policy_digest VARCHAR(71) NOT NULL,
	made_at VARCHAR(27) NOT NULL,
	CONSTRAINT pk_diagnoses PRIMARY KEY (id)
)
;
CREATE INDEX ix_diagnoses_incident ON diagnoses (incident, made_at)
;
CREATE INDEX ix_diagnoses_model ON diagnoses (model, made_at)
;
CREATE TABLE executors (
	id VARCHAR(120) NOT NULL,
	token VARCHAR(32) NOT NULL,
	host VARCHAR(120) NOT NULL,
	process BIGINT NOT NULL,
	roles VARCHAR(200) NOT NULL,
	started_at VARCHAR(27) NOT NULL,
	expires_at VARCHAR(27) NOT NULL,
	CONSTRAINT pk_executors PRIMARY KEY (id)
)
;
CREATE TABLE gateways (
	name VARCHAR(80) NOT NULL,
	epoch BIGINT NOT NULL,
	report JSON NOT NULL,
	seen_at VARCHAR(27) NOT NULL,
	CONSTRAINT pk_gateways PRIMARY KEY (name)
)
;
CREATE TABLE inbox_messages (
	id VARCHAR(80) NOT NULL,
	team VARCHAR(200) NOT NULL,
	text TEXT NOT NULL,
	tenant VARCHAR(80),
	at VARCHAR(27) NOT NULL,
	CONSTRAINT pk_inbox_messages PRIMARY KEY (id)
)
;
CREATE INDEX ix_inbox_messages_at ON inbox_messages (at)
;
CREATE TABLE incident_signals (
	sequence BIGINT NOT NULL,
	tenant VARCHAR(80) NOT NULL,
	cause_key VARCHAR(200) NOT NULL,
	incident VARCHAR(80) NOT NULL,
	CONSTRAINT pk_incident_signals PRIMARY KEY (sequence, tenant, cause_key)
)
;
CREATE INDEX ix_incident_signals_incident ON incident_signals (incident)
;
CREATE TABLE incidents (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	number INTEGER NOT NULL,
	model VARCHAR(63) NOT NULL,
	tenant VARCHAR(80),
	kind VARCHAR(40) NOT NULL,
	feature VARCHAR(200),
	cause_key VARCHAR(200) NOT NULL,
	severity VARCHAR(20) NOT NULL,
	title TEXT NOT NULL,
	phase VARCHAR(20) NOT NULL,
	signals INTEGER NOT NULL,
	last_signal_at VARCHAR(27) NOT NULL,
	affected_tenants JSON NOT NULL,
	children JSON NOT NULL,
	merged_into VARCHAR(80),
	drift_start VARCHAR(27),
	detected_at VARCHAR(27) NOT NULL,
	diagnosed_at VARCHAR(27),
	remediation_at VARCHAR(27),
	resolved_at VARCHAR(27),
	diagnosis VARCHAR(80),
	remediations JSON NOT NULL,
	resolution TEXT,
	due_at VARCHAR(27),
	CONSTRAINT pk_incidents PRIMARY KEY (id)
)
;
CREATE INDEX ix_incidents_detected ON incidents (detected_at, number)
;
CREATE INDEX ix_incidents_due_at ON incidents (due_at)
;
CREATE INDEX ix_incidents_model ON incidents (model, detected_at)
;
CREATE UNIQUE INDEX uq_incidents_one_open ON incidents (model, coalesce(tenant, ''), cause_key) WHERE phase IN ('open', 'diagnosed', 'acting', 'verifying', 'escalated')
;
CREATE TABLE inventory_records (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	connection VARCHAR(80) NOT NULL,
	tenant VARCHAR(80),
	"key" VARCHAR(80) NOT NULL,
	number INTEGER NOT NULL,
	removed BOOLEAN NOT NULL,
	CONSTRAINT pk_inventory_records PRIMARY KEY (id)
)
;
CREATE UNIQUE INDEX uq_inventory_records_key ON inventory_records (connection, "key")
;
CREATE TABLE inventory_revisions (
	record VARCHAR(80) NOT NULL,
	number INTEGER NOT NULL,
	connection VARCHAR(80) NOT NULL,
	tenant VARCHAR(80),
	model TEXT NOT NULL,
	version BIGINT NOT NULL,
	since VARCHAR(27) NOT NULL,
	until VARCHAR(27),
	removed BOOLEAN NOT NULL,
	stage VARCHAR(12) NOT NULL,
	aliases JSON NOT NULL,
	owner TEXT,
	privacy TEXT,
	inspection VARCHAR(12),
	incomplete BOOLEAN NOT NULL,
	listed BOOLEAN NOT NULL,
	gaps TEXT NOT NULL,
	judged_by VARCHAR(71) NOT NULL,
	rulebook VARCHAR(71) NOT NULL,
	outcomes TEXT NOT NULL,
	document JSON NOT NULL,
	compliance JSON NOT NULL,
	CONSTRAINT pk_inventory_revisions PRIMARY KEY (record, number)
)
;
CREATE UNIQUE INDEX ix_inventory_revisions_current ON inventory_revisions (connection, record) WHERE until IS NULL
;
CREATE INDEX ix_inventory_revisions_judged ON inventory_revisions (connection, judged_by) WHERE until IS NULL
;
CREATE INDEX ix_inventory_revisions_listed ON inventory_revisions (model, version DESC, record) WHERE until IS NULL
;
CREATE INDEX ix_inventory_revisions_since ON inventory_revisions (connection, since)
;
CREATE TABLE inventory_sightings (
	record VARCHAR(80) NOT NULL,
	connection VARCHAR(80) NOT NULL,
	"key" VARCHAR(80) NOT NULL,
	source_hash VARCHAR(71) NOT NULL,
	attempts INTEGER NOT NULL,
	retry_at VARCHAR(27),
	inspect_attempts INTEGER NOT NULL,
	inspect_retry_at VARCHAR(27),
	scanner TEXT,
	CONSTRAINT pk_inventory_sightings PRIMARY KEY (record)
)
;
CREATE INDEX ix_inventory_sightings_again ON inventory_sightings (connection, inspect_retry_at) WHERE inspect_retry_at IS NOT NULL
;
CREATE UNIQUE INDEX ix_inventory_sightings_key ON inventory_sightings (connection, "key")
;
CREATE INDEX ix_inventory_sightings_scanner ON inventory_sightings (connection, scanner)
;
CREATE TABLE kept_answers (
	id VARCHAR(64) NOT NULL,
	request VARCHAR(64) NOT NULL,
	status INTEGER NOT NULL,
	sealed BLOB NOT NULL,
	kept_at VARCHAR(27) NOT NULL,
	CONSTRAINT pk_kept_answers PRIMARY KEY (id)
)
;
CREATE INDEX ix_kept_answers_kept_at ON kept_answers (kept_at)
;
CREATE TABLE key_uses (
	"key" VARCHAR(80) NOT NULL,
	used_at VARCHAR(27) NOT NULL,
	CONSTRAINT pk_key_uses PRIMARY KEY ("key")
)
;
CREATE TABLE kill_switches (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	scope VARCHAR(10) NOT NULL,
	name VARCHAR(80) NOT NULL,
	"set" BOOLEAN NOT NULL,
	why TEXT NOT NULL,
	"by" VARCHAR(80) NOT NULL,
	since VARCHAR(27) NOT NULL,
	CONSTRAINT pk_kill_switches PRIMARY KEY (id)
)
;
CREATE UNIQUE INDEX uq_kill_switches_scope ON kill_switches (scope, name)
;
CREATE TABLE label_batches (
	id VARCHAR(80) NOT NULL,
	source VARCHAR(80) NOT NULL,
	model VARCHAR(63) NOT NULL,
	rows INTEGER NOT NULL,
	first_at VARCHAR(27) NOT NULL,
	last_at VARCHAR(27) NOT NULL,
	received_at VARCHAR(27) NOT NULL,
	body BLOB NOT NULL,
	CONSTRAINT pk_label_batches PRIMARY KEY (id, source)
)
;
CREATE INDEX ix_label_batches_model_time ON label_batches (model, first_at, last_at)
;
CREATE TABLE late_rows (
	model VARCHAR(63) NOT NULL,
	window VARCHAR(80) NOT NULL,
	came INTEGER NOT NULL,
	judged INTEGER NOT NULL,
	due_at VARCHAR(27),
	predictions INTEGER NOT NULL,
	labels INTEGER NOT NULL,
	predictions_too_late INTEGER NOT NULL,
	labels_too_late INTEGER NOT NULL,
	CONSTRAINT pk_late_rows PRIMARY KEY (model, window)
)
;
CREATE INDEX ix_late_rows_due_at ON late_rows (due_at)
;
CREATE TABLE ledger_entries (
	sequence BIGINT NOT NULL,
	tenant VARCHAR(80),
	tenant_sequence BIGINT NOT NULL,
	kind VARCHAR(80) NOT NULL,
	actor VARCHAR(80) NOT NULL,
	at VARCHAR(27) NOT NULL,
	subject VARCHAR(200) NOT NULL,
	header BLOB NOT NULL,
	leaf BLOB NOT NULL,
	CONSTRAINT pk_ledger_entries PRIMARY KEY (sequence)
)
;
CREATE INDEX ix_ledger_entries_kind ON ledger_entries (kind, sequence)
;
CREATE UNIQUE INDEX uq_ledger_entries_tenant ON ledger_entries (tenant, tenant_sequence)
;
CREATE TABLE ledger_heads (
	size BIGINT NOT NULL,
	note TEXT NOT NULL,
	CONSTRAINT pk_ledger_heads PRIMARY KEY (size)
)
;
CREATE TABLE ledger_mentions (
	ref VARCHAR(200) NOT NULL,
	sequence BIGINT NOT NULL,
	CONSTRAINT pk_ledger_mentions PRIMARY KEY (ref, sequence)
)
;
CREATE TABLE ledger_nodes (
	level INTEGER NOT NULL,
	position BIGINT NOT NULL,
	hash BLOB NOT NULL,
	CONSTRAINT pk_ledger_nodes PRIMARY KEY (level, position)
)
;
CREATE TABLE ledger_payloads (
	sequence BIGINT NOT NULL,
	salt BLOB,
	body BLOB,
	CONSTRAINT pk_ledger_payloads PRIMARY KEY (sequence)
)
;
CREATE TABLE ledger_size (
	tenant VARCHAR(80) NOT NULL,
	size BIGINT NOT NULL,
	CONSTRAINT pk_ledger_size PRIMARY KEY (tenant)
)
;
CREATE TABLE lineage_edges (
	record VARCHAR(80) NOT NULL,
	upstream VARCHAR(40) NOT NULL,
	downstream VARCHAR(40) NOT NULL,
	since VARCHAR(27) NOT NULL,
	until VARCHAR(27),
	connection VARCHAR(80) NOT NULL,
	tenant VARCHAR(80),
	relation VARCHAR(20) NOT NULL,
	said JSON NOT NULL,
	CONSTRAINT pk_lineage_edges PRIMARY KEY (record, upstream, downstream, since)
)
;
CREATE INDEX ix_lineage_edges_downstream ON lineage_edges (downstream)
;
CREATE INDEX ix_lineage_edges_upstream ON lineage_edges (upstream)
;
CREATE TABLE log_in_places (
	person VARCHAR(80) NOT NULL,
	address VARCHAR(64) NOT NULL,
	at VARCHAR(27) NOT NULL,
	CONSTRAINT pk_log_in_places PRIMARY KEY (person, address)
)
;
CREATE TABLE models (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	name VARCHAR(63) NOT NULL,
	owner VARCHAR(200) NOT NULL,
	description TEXT NOT NULL,
	risk_facts JSON NOT NULL,
	tier INTEGER NOT NULL,
	risk_level VARCHAR(10) NOT NULL,
	policy VARCHAR(80) NOT NULL,
	features JSON NOT NULL,
	label VARCHAR(120) NOT NULL,
	created_at VARCHAR(27) NOT NULL,
	CONSTRAINT pk_models PRIMARY KEY (id),
	CONSTRAINT uq_models_name UNIQUE (name)
)
;
CREATE TABLE people (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	email VARCHAR(255) NOT NULL,
	name VARCHAR(200) NOT NULL,
	tenant VARCHAR(80),
	roles JSON NOT NULL,
	password_hash VARCHAR(200) NOT NULL,
	disabled BOOLEAN NOT NULL,
	created_at VARCHAR(27) NOT NULL,
	generation INTEGER NOT NULL,
	CONSTRAINT pk_people PRIMARY KEY (id),
	CONSTRAINT uq_people_email UNIQUE (email)
)
;
CREATE TABLE permits (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) NOT NULL,
	version VARCHAR(23) NOT NULL,
	digest VARCHAR(71) NOT NULL,
	tenant VARCHAR(80),
	environment VARCHAR(40) NOT NULL,
	max_percent DOUBLE NOT NULL,
	approval VARCHAR(80) NOT NULL,
	policy_digest VARCHAR(71) NOT NULL,
	issued_at VARCHAR(27) NOT NULL,
	expires_at VARCHAR(27) NOT NULL,
	sealed TEXT NOT NULL,
	consumed_at VARCHAR(27),
	CONSTRAINT pk_permits PRIMARY KEY (id)
)
;
CREATE TABLE prediction_batches (
	id VARCHAR(80) NOT NULL,
	source VARCHAR(80) NOT NULL,
	model VARCHAR(63) NOT NULL,
	rows INTEGER NOT NULL,
	first_at VARCHAR(27) NOT NULL,
	last_at VARCHAR(27) NOT NULL,
	received_at VARCHAR(27) NOT NULL,
	body BLOB NOT NULL,
	CONSTRAINT pk_prediction_batches PRIMARY KEY (id, source)
)
;
CREATE INDEX ix_prediction_batches_model_time ON prediction_batches (model, first_at, last_at)
;
CREATE TABLE remediations (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	incident VARCHAR(80) NOT NULL,
	model VARCHAR(63) NOT NULL,
	tenant VARCHAR(80),
	environment VARCHAR(40) NOT NULL,
	action VARCHAR(40) NOT NULL,
	args JSON NOT NULL,
	target VARCHAR(200) NOT NULL,
	requested_by VARCHAR(80) NOT NULL,
	automatic BOOLEAN NOT NULL,
	cause_type VARCHAR(40),
	confidence DOUBLE,
	policy_digest VARCHAR(71) NOT NULL,
	attempt INTEGER NOT NULL,
	phase VARCHAR(20) NOT NULL,
	proposed_at VARCHAR(27) NOT NULL,
	gate JSON,
	permit VARCHAR(80),
	fence INTEGER,
	started_at VARCHAR(27),
	executed_at VARCHAR(27),
	result JSON,
	measured_recovery JSON,
	settled_at VARCHAR(27),
	reason TEXT,
	due_at VARCHAR(27),
	deadline VARCHAR(27),
	CONSTRAINT pk_remediations PRIMARY KEY (id)
)
;
CREATE INDEX ix_remediations_due_at ON remediations (due_at)
;
CREATE INDEX ix_remediations_incident ON remediations (incident)
;
CREATE INDEX ix_remediations_model ON remediations (model, proposed_at)
;
CREATE INDEX ix_remediations_target ON remediations (target, started_at)
;
CREATE UNIQUE INDEX uq_remediations_one_in_flight ON remediations (target) WHERE phase IN ('executing', 'failed', 'permitted', 'verifying')
;
CREATE TABLE request_nonces (
	"key" VARCHAR(80) NOT NULL,
	nonce VARCHAR(64) NOT NULL,
	until VARCHAR(27) NOT NULL,
	CONSTRAINT pk_request_nonces PRIMARY KEY ("key", nonce)
)
;
CREATE INDEX ix_request_nonces_until ON request_nonces (until)
;
CREATE TABLE retrainings (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) NOT NULL,
	tenant VARCHAR(80),
	"trigger" VARCHAR(30) NOT NULL,
	incident VARCHAR(80),
	champion VARCHAR(23) NOT NULL,
	champion_digest VARCHAR(71) NOT NULL,
	proposed_version VARCHAR(23) NOT NULL,
	policy_digest VARCHAR(71) NOT NULL,
	data_from VARCHAR(27) NOT NULL,
	data_until VARCHAR(27) NOT NULL,
	phase VARCHAR(20) NOT NULL,
	requested_at VARCHAR(27) NOT NULL,
	attempts INTEGER NOT NULL,
	data_digest VARCHAR(71),
	rows BIGINT,
	data_report JSON,
	challenger_digest VARCHAR(71),
	cutoff DOUBLE,
	metrics JSON,
	comparison JSON,
	version_id VARCHAR(80),
	reason TEXT,
	settled_at VARCHAR(27),
	due_at VARCHAR(27),
	CONSTRAINT pk_retrainings PRIMARY KEY (id)
)
;
CREATE INDEX ix_retrainings_due_at ON retrainings (due_at)
;
CREATE INDEX ix_retrainings_incident ON retrainings (incident)
;
CREATE INDEX ix_retrainings_model ON retrainings (model, requested_at)
;
CREATE UNIQUE INDEX uq_retrainings_one_open ON retrainings (model, coalesce(tenant, '')) WHERE phase IN ('requested', 'data_checked', 'trained', 'judged')
;
CREATE TABLE rollouts (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) NOT NULL,
	tenant VARCHAR(80),
	environment VARCHAR(40) NOT NULL,
	version_id VARCHAR(80) NOT NULL,
	version VARCHAR(23) NOT NULL,
	digest VARCHAR(71) NOT NULL,
	active_version VARCHAR(23),
	approval VARCHAR(80) NOT NULL,
	policy_digest VARCHAR(71) NOT NULL,
	steps JSON NOT NULL,
	step INTEGER NOT NULL,
	intended_percent DOUBLE NOT NULL,
	observed_percent DOUBLE NOT NULL,
	phase VARCHAR(20) NOT NULL,
	looks_undecided INTEGER NOT NULL,
	started_at VARCHAR(27) NOT NULL,
	step_since VARCHAR(27) NOT NULL,
	due_at VARCHAR(27),
	last_analysis JSON,
	outcome_reason TEXT,
	CONSTRAINT pk_rollouts PRIMARY KEY (id)
)
;
CREATE INDEX ix_rollouts_due_at ON rollouts (due_at)
;
CREATE INDEX ix_rollouts_model ON rollouts (model, started_at)
;
CREATE INDEX ix_rollouts_version_id ON rollouts (version_id)
;
CREATE UNIQUE INDEX uq_rollouts_one_open ON rollouts (model, coalesce(tenant, ''), environment) WHERE phase IN ('running', 'held', 'promoting', 'rolling_back')
;
CREATE TABLE routing_tables (
	epoch BIGINT NOT NULL,
	content VARCHAR(64) NOT NULL,
	exposure VARCHAR(64) NOT NULL,
	sealed BLOB NOT NULL,
	at VARCHAR(27) NOT NULL,
	CONSTRAINT pk_routing_tables PRIMARY KEY (epoch)
)
;
CREATE TABLE rulebooks (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	version VARCHAR(40) NOT NULL,
	text TEXT NOT NULL,
	adopted_at VARCHAR(27) NOT NULL,
	CONSTRAINT pk_rulebooks PRIMARY KEY (id)
)
;
CREATE TABLE service_accounts (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	name VARCHAR(200) NOT NULL,
	owner VARCHAR(80) NOT NULL,
	tenant VARCHAR(80),
	roles JSON NOT NULL,
	disabled BOOLEAN NOT NULL,
	created_at VARCHAR(27) NOT NULL,
	CONSTRAINT pk_service_accounts PRIMARY KEY (id),
	CONSTRAINT uq_service_accounts_name UNIQUE (name)
)
;
CREATE TABLE sessions (
	token_sha256 VARCHAR(64) NOT NULL,
	person VARCHAR(80) NOT NULL,
	id VARCHAR(80) NOT NULL,
	csrf VARCHAR(64) NOT NULL,
	generation INTEGER NOT NULL,
	address VARCHAR(64) NOT NULL,
	opened_at VARCHAR(27) NOT NULL,
	seen_at VARCHAR(27) NOT NULL,
	expires_at VARCHAR(27) NOT NULL,
	CONSTRAINT pk_sessions PRIMARY KEY (token_sha256),
	CONSTRAINT uq_sessions_id UNIQUE (id)
)
;
CREATE INDEX ix_sessions_person ON sessions (person)
;
CREATE TABLE sync_states (
	connection VARCHAR(80) NOT NULL,
	due_at VARCHAR(27),
	full_at VARCHAR(27) NOT NULL,
	seen_at VARCHAR(27),
	vanished_at VARCHAR(27),
	asked JSON NOT NULL,
	progress JSON NOT NULL,
	CONSTRAINT pk_sync_states PRIMARY KEY (connection)
)
;
CREATE INDEX ix_sync_states_due_at ON sync_states (due_at)
;
CREATE TABLE syncs (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	connection VARCHAR(80) NOT NULL,
	tenant VARCHAR(80),
	scope VARCHAR(10) NOT NULL,
	model TEXT,
	phase VARCHAR(10) NOT NULL,
	url TEXT NOT NULL,
	identity TEXT NOT NULL,
	started_at VARCHAR(27) NOT NULL,
	ended_at VARCHAR(27),
	counts JSON NOT NULL,
	failures JSON NOT NULL,
	reason TEXT NOT NULL,
	CONSTRAINT pk_syncs PRIMARY KEY (id)
)
;
CREATE INDEX ix_syncs_connection ON syncs (connection, id)
;
CREATE INDEX ix_syncs_phase ON syncs (phase)
;
CREATE TABLE tenants (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	name VARCHAR(200) NOT NULL,
	created_at VARCHAR(27) NOT NULL,
	disabled BOOLEAN NOT NULL,
	CONSTRAINT pk_tenants PRIMARY KEY (id)
)
;
CREATE TABLE watches (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) NOT NULL,
	tenant VARCHAR(80),
	subject VARCHAR(20) NOT NULL,
	name TEXT NOT NULL,
	phase VARCHAR(20) NOT NULL,
	alarming INTEGER NOT NULL,
	calm INTEGER NOT NULL,
	since VARCHAR(27),
	judged_through VARCHAR(27),
	window VARCHAR(80),
	CONSTRAINT pk_watches PRIMARY KEY (id)
)
;
CREATE UNIQUE INDEX uq_watches_subject ON watches (model, coalesce(tenant, ''), subject, name)
;
CREATE TABLE windows (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) NOT NULL,
	tenant VARCHAR(80),
	start VARCHAR(27) NOT NULL,
	"end" VARCHAR(27) NOT NULL,
	phase VARCHAR(20) NOT NULL,
	due_at VARCHAR(27),
	rows INTEGER NOT NULL,
	drift JSON,
	performance JSON,
	skipped JSON NOT NULL,
	policy_digest VARCHAR(71) NOT NULL,
	closed_at VARCHAR(27),
	settled_at VARCHAR(27),
	revisions INTEGER NOT NULL,
	CONSTRAINT pk_windows PRIMARY KEY (id)
)
;
CREATE INDEX ix_windows_due_at ON windows (due_at)
;
CREATE INDEX ix_windows_start ON windows (model, start)
;
CREATE UNIQUE INDEX uq_windows_place ON windows (model, coalesce(tenant, ''), start)
;
CREATE TABLE versions (
	id VARCHAR(80) NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) NOT NULL,
	tenant VARCHAR(80),
	version VARCHAR(23) NOT NULL,
	number INTEGER NOT NULL,
	predecessor VARCHAR(23),
	bump VARCHAR(5) NOT NULL,
	bump_reasons JSON NOT NULL,
	lifecycle VARCHAR(20) NOT NULL,
	digest VARCHAR(71) NOT NULL,
	size_bytes BIGINT NOT NULL,
	framework VARCHAR(40) NOT NULL,
	cutoff DOUBLE NOT NULL,
	training_metrics JSON NOT NULL,
	training_trigger VARCHAR(30) NOT NULL,
	parent VARCHAR(23),
	reference_digest VARCHAR(71) NOT NULL,
	reference_rows BIGINT NOT NULL,
	holdout_digest VARCHAR(71) NOT NULL,
	lineage JSON NOT NULL,
	binding TEXT NOT NULL,
	signature TEXT NOT NULL,
	signer VARCHAR(80) NOT NULL,
	signed_at VARCHAR(27) NOT NULL,
	inspection JSON NOT NULL,
	contributors JSON NOT NULL,
	created_by VARCHAR(80) NOT NULL,
	created_at VARCHAR(27) NOT NULL,
	held_because TEXT,
	CONSTRAINT pk_versions PRIMARY KEY (id),
	CONSTRAINT fk_versions_model FOREIGN KEY(model) REFERENCES models (name)
)
;
CREATE INDEX ix_versions_tenant ON versions (model, tenant)
;
CREATE UNIQUE INDEX uq_versions_model_number ON versions (model, number)
;
CREATE UNIQUE INDEX uq_versions_model_version ON versions (model, version)
;
INSERT INTO ledger_size (tenant, size) VALUES ('*', 0)
;
CREATE TRIGGER ledger_entries_no_update BEFORE UPDATE ON ledger_entries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
;
CREATE TRIGGER ledger_entries_no_delete BEFORE DELETE ON ledger_entries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
;
CREATE TRIGGER ledger_mentions_no_update BEFORE UPDATE ON ledger_mentions BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
;
CREATE TRIGGER ledger_mentions_no_delete BEFORE DELETE ON ledger_mentions BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
;
CREATE TRIGGER ledger_nodes_no_update BEFORE UPDATE ON ledger_nodes BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
;
CREATE TRIGGER ledger_nodes_no_delete BEFORE DELETE ON ledger_nodes BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
;
CREATE TRIGGER ledger_heads_no_update BEFORE UPDATE ON ledger_heads BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
;
CREATE TRIGGER ledger_heads_no_delete BEFORE DELETE ON ledger_heads BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
;
CREATE TRIGGER ledger_payloads_no_delete BEFORE DELETE ON ledger_payloads BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
;
CREATE TRIGGER ledger_payloads_only_blank BEFORE UPDATE ON ledger_payloads WHEN NEW.body IS NOT NULL OR NEW.salt IS NOT NULL OR NEW.sequence <> OLD.sequence BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
;
CREATE TRIGGER ledger_size_only_grows BEFORE UPDATE ON ledger_size WHEN NEW.size < OLD.size BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
;
CREATE TRIGGER ledger_size_no_delete BEFORE DELETE ON ledger_size BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
;
