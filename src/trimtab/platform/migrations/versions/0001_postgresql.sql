CREATE TABLE action_permits (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	remediation VARCHAR(80) COLLATE "C" NOT NULL,
	incident VARCHAR(80) COLLATE "C" NOT NULL,
	action VARCHAR(40) COLLATE "C" NOT NULL,
	args_digest VARCHAR(71) COLLATE "C" NOT NULL,
	target VARCHAR(200) COLLATE "C" NOT NULL,
	policy_digest VARCHAR(71) COLLATE "C" NOT NULL,
	epoch INTEGER NOT NULL,
	issued_at TIMESTAMP WITH TIME ZONE NOT NULL,
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
	sealed TEXT COLLATE "C" NOT NULL,
	consumed_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT pk_action_permits PRIMARY KEY (id),
	CONSTRAINT uq_action_permits_remediation UNIQUE (remediation)
)
;
CREATE TABLE api_keys (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	account VARCHAR(80) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	scopes JSON NOT NULL,
	sha256 VARCHAR(64) COLLATE "C" NOT NULL,
	default_model VARCHAR(63) COLLATE "C",
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	expires_at TIMESTAMP WITH TIME ZONE,
	revoked_at TIMESTAMP WITH TIME ZONE,
	wrapped VARCHAR(200) COLLATE "C",
	CONSTRAINT pk_api_keys PRIMARY KEY (id)
)
;
CREATE TABLE approvals (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	version_id VARCHAR(80) COLLATE "C" NOT NULL,
	target JSON NOT NULL,
	requested_by VARCHAR(80) COLLATE "C" NOT NULL,
	requested_person VARCHAR(80) COLLATE "C",
	comment TEXT COLLATE "C" NOT NULL,
	steps JSON NOT NULL,
	min_people INTEGER NOT NULL,
	excluded JSON NOT NULL,
	votes JSON NOT NULL,
	criteria JSON NOT NULL,
	automatic BOOLEAN NOT NULL,
	phase VARCHAR(20) COLLATE "C" NOT NULL,
	requested_at TIMESTAMP WITH TIME ZONE NOT NULL,
	decided_at TIMESTAMP WITH TIME ZONE,
	due_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT pk_approvals PRIMARY KEY (id)
)
;
CREATE INDEX ix_approvals_due_at ON approvals (due_at)
;
CREATE INDEX ix_approvals_version_id ON approvals (version_id)
;
CREATE TABLE check_runs (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	version_id VARCHAR(80) COLLATE "C" NOT NULL,
	version VARCHAR(23) COLLATE "C" NOT NULL,
	digest VARCHAR(71) COLLATE "C" NOT NULL,
	name VARCHAR(40) COLLATE "C" NOT NULL,
	verdict VARCHAR(20) COLLATE "C" NOT NULL,
	reason TEXT COLLATE "C" NOT NULL,
	numbers JSON NOT NULL,
	policy_digest VARCHAR(71) COLLATE "C" NOT NULL,
	attempt INTEGER NOT NULL,
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	due_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT pk_check_runs PRIMARY KEY (id)
)
;
CREATE INDEX ix_check_runs_due_at ON check_runs (due_at)
;
CREATE UNIQUE INDEX uq_check_runs_attempt ON check_runs (version_id, name, attempt)
;
CREATE TABLE compliance_waivers (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	rule VARCHAR(80) COLLATE "C" NOT NULL,
	connection VARCHAR(80) COLLATE "C" NOT NULL,
	model TEXT COLLATE "C" NOT NULL,
	version BIGINT,
	reason TEXT COLLATE "C" NOT NULL,
	granted_by VARCHAR(80) COLLATE "C" NOT NULL,
	granted_at TIMESTAMP WITH TIME ZONE NOT NULL,
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
	revoked_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT pk_compliance_waivers PRIMARY KEY (id)
)
;
CREATE INDEX ix_compliance_waivers_connection ON compliance_waivers (connection)
;
CREATE INDEX ix_compliance_waivers_expires_at ON compliance_waivers (expires_at)
;
CREATE TABLE connections (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	kind VARCHAR(20) COLLATE "C" NOT NULL,
	name VARCHAR(63) COLLATE "C" NOT NULL,
	url TEXT COLLATE "C" NOT NULL,
	mode VARCHAR(10) COLLATE "C" NOT NULL,
	auth JSON NOT NULL,
	networks JSON NOT NULL,
	tag_map JSON,
	webhook VARCHAR(200) COLLATE "C",
	paused BOOLEAN NOT NULL,
	health VARCHAR(10) COLLATE "C" NOT NULL,
	health_reason TEXT COLLATE "C" NOT NULL,
	server TEXT COLLATE "C" NOT NULL,
	identity TEXT COLLATE "C" NOT NULL,
	may_write BOOLEAN,
	warnings JSON NOT NULL,
	created_by VARCHAR(80) COLLATE "C" NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	removed_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT pk_connections PRIMARY KEY (id)
)
;
CREATE UNIQUE INDEX uq_connections_name ON connections (coalesce(tenant, ''), name) WHERE removed_at IS NULL
;
CREATE TABLE cursors (
	name VARCHAR(80) COLLATE "C" NOT NULL,
	sequence BIGINT NOT NULL,
	CONSTRAINT pk_cursors PRIMARY KEY (name)
)
;
CREATE TABLE deployments (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	environment VARCHAR(40) COLLATE "C" NOT NULL,
	version VARCHAR(23) COLLATE "C" NOT NULL,
	digest VARCHAR(71) COLLATE "C" NOT NULL,
	state VARCHAR(20) COLLATE "C" NOT NULL,
	percent DOUBLE PRECISION NOT NULL,
	salt VARCHAR(80) COLLATE "C" NOT NULL,
	permit VARCHAR(80) COLLATE "C" NOT NULL,
	since TIMESTAMP WITH TIME ZONE NOT NULL,
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
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	incident VARCHAR(80) COLLATE "C" NOT NULL,
	model VARCHAR(63) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	verdict VARCHAR(20) COLLATE "C" NOT NULL,
	analysis JSON NOT NULL,
	policy_digest VARCHAR(71) COLLATE "C" NOT NULL,
	made_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_diagnoses PRIMARY KEY (id)
)
;
CREATE INDEX ix_diagnoses_incident ON diagnoses (incident, made_at)
;
CREATE INDEX ix_diagnoses_model ON diagnoses (model, made_at)
;
CREATE TABLE executors (
	id VARCHAR(120) COLLATE "C" NOT NULL,
	token VARCHAR(32) COLLATE "C" NOT NULL,
	host VARCHAR(120) COLLATE "C" NOT NULL,
	process BIGINT NOT NULL,
	roles VARCHAR(200) COLLATE "C" NOT NULL,
	started_at TIMESTAMP WITH TIME ZONE NOT NULL,
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_executors PRIMARY KEY (id)
)
;
CREATE TABLE gateways (
	name VARCHAR(80) COLLATE "C" NOT NULL,
	epoch BIGINT NOT NULL,
	report JSON NOT NULL,
	seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_gateways PRIMARY KEY (name)
)
;
CREATE TABLE inbox_messages (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	team VARCHAR(200) COLLATE "C" NOT NULL,
	text TEXT COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_inbox_messages PRIMARY KEY (id)
)
;
CREATE INDEX ix_inbox_messages_at ON inbox_messages (at)
;
CREATE TABLE incident_signals (
	sequence BIGINT NOT NULL,
	tenant VARCHAR(80) COLLATE "C" NOT NULL,
	cause_key VARCHAR(200) COLLATE "C" NOT NULL,
	incident VARCHAR(80) COLLATE "C" NOT NULL,
	CONSTRAINT pk_incident_signals PRIMARY KEY (sequence, tenant, cause_key)
)
;
CREATE INDEX ix_incident_signals_incident ON incident_signals (incident)
;
CREATE TABLE incidents (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	number INTEGER NOT NULL,
	model VARCHAR(63) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	kind VARCHAR(40) COLLATE "C" NOT NULL,
	feature VARCHAR(200) COLLATE "C",
	cause_key VARCHAR(200) COLLATE "C" NOT NULL,
	severity VARCHAR(20) COLLATE "C" NOT NULL,
	title TEXT COLLATE "C" NOT NULL,
	phase VARCHAR(20) COLLATE "C" NOT NULL,
	signals INTEGER NOT NULL,
	last_signal_at TIMESTAMP WITH TIME ZONE NOT NULL,
	affected_tenants JSON NOT NULL,
	children JSON NOT NULL,
	merged_into VARCHAR(80) COLLATE "C",
	drift_start TIMESTAMP WITH TIME ZONE,
	detected_at TIMESTAMP WITH TIME ZONE NOT NULL,
	diagnosed_at TIMESTAMP WITH TIME ZONE,
	remediation_at TIMESTAMP WITH TIME ZONE,
	resolved_at TIMESTAMP WITH TIME ZONE,
	diagnosis VARCHAR(80) COLLATE "C",
	remediations JSON NOT NULL,
	resolution TEXT COLLATE "C",
	due_at TIMESTAMP WITH TIME ZONE,
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
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	connection VARCHAR(80) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	key VARCHAR(80) COLLATE "C" NOT NULL,
	number INTEGER NOT NULL,
	removed BOOLEAN NOT NULL,
	CONSTRAINT pk_inventory_records PRIMARY KEY (id)
)
;
CREATE UNIQUE INDEX uq_inventory_records_key ON inventory_records (connection, key)
;
CREATE TABLE inventory_revisions (
	record VARCHAR(80) COLLATE "C" NOT NULL,
	number INTEGER NOT NULL,
	connection VARCHAR(80) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	model TEXT COLLATE "C" NOT NULL,
	version BIGINT NOT NULL,
	since TIMESTAMP WITH TIME ZONE NOT NULL,
	until TIMESTAMP WITH TIME ZONE,
	removed BOOLEAN NOT NULL,
	stage VARCHAR(12) COLLATE "C" NOT NULL,
	aliases JSON NOT NULL,
	owner TEXT COLLATE "C",
	privacy TEXT COLLATE "C",
	inspection VARCHAR(12) COLLATE "C",
	incomplete BOOLEAN NOT NULL,
	listed BOOLEAN NOT NULL,
	gaps TEXT COLLATE "C" NOT NULL,
	judged_by VARCHAR(71) COLLATE "C" NOT NULL,
	rulebook VARCHAR(71) COLLATE "C" NOT NULL,
	outcomes TEXT COLLATE "C" NOT NULL,
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
	record VARCHAR(80) COLLATE "C" NOT NULL,
	connection VARCHAR(80) COLLATE "C" NOT NULL,
	key VARCHAR(80) COLLATE "C" NOT NULL,
	source_hash VARCHAR(71) COLLATE "C" NOT NULL,
	attempts INTEGER NOT NULL,
	retry_at TIMESTAMP WITH TIME ZONE,
	inspect_attempts INTEGER NOT NULL,
	inspect_retry_at TIMESTAMP WITH TIME ZONE,
	scanner TEXT COLLATE "C",
	CONSTRAINT pk_inventory_sightings PRIMARY KEY (record)
)
;
CREATE INDEX ix_inventory_sightings_again ON inventory_sightings (connection, inspect_retry_at) WHERE inspect_retry_at IS NOT NULL
;
CREATE UNIQUE INDEX ix_inventory_sightings_key ON inventory_sightings (connection, key)
;
CREATE INDEX ix_inventory_sightings_scanner ON inventory_sightings (connection, scanner)
;
CREATE TABLE kept_answers (
	id VARCHAR(64) COLLATE "C" NOT NULL,
	request VARCHAR(64) COLLATE "C" NOT NULL,
	status INTEGER NOT NULL,
	sealed BYTEA NOT NULL,
	kept_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_kept_answers PRIMARY KEY (id)
)
;
CREATE INDEX ix_kept_answers_kept_at ON kept_answers (kept_at)
;
CREATE TABLE key_uses (
	key VARCHAR(80) COLLATE "C" NOT NULL,
	used_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_key_uses PRIMARY KEY (key)
)
;
CREATE TABLE kill_switches (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	scope VARCHAR(10) COLLATE "C" NOT NULL,
	name VARCHAR(80) COLLATE "C" NOT NULL,
	set BOOLEAN NOT NULL,
	why TEXT COLLATE "C" NOT NULL,
	by VARCHAR(80) COLLATE "C" NOT NULL,
	since TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_kill_switches PRIMARY KEY (id)
)
;
CREATE UNIQUE INDEX uq_kill_switches_scope ON kill_switches (scope, name)
;
CREATE TABLE label_batches (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	source VARCHAR(80) COLLATE "C" NOT NULL,
	model VARCHAR(63) COLLATE "C" NOT NULL,
	rows INTEGER NOT NULL,
	first_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_at TIMESTAMP WITH TIME ZONE NOT NULL,
	received_at TIMESTAMP WITH TIME ZONE NOT NULL,
	body BYTEA NOT NULL,
	CONSTRAINT pk_label_batches PRIMARY KEY (id, source)
)
;
CREATE INDEX ix_label_batches_model_time ON label_batches (model, first_at, last_at)
;
ALTER TABLE label_batches ALTER COLUMN body SET STORAGE EXTERNAL
;
CREATE TABLE late_rows (
	model VARCHAR(63) COLLATE "C" NOT NULL,
	"window" VARCHAR(80) COLLATE "C" NOT NULL,
	came INTEGER NOT NULL,
	judged INTEGER NOT NULL,
	due_at TIMESTAMP WITH TIME ZONE,
	predictions INTEGER NOT NULL,
	labels INTEGER NOT NULL,
	predictions_too_late INTEGER NOT NULL,
	labels_too_late INTEGER NOT NULL,
	CONSTRAINT pk_late_rows PRIMARY KEY (model, "window")
)
;
CREATE INDEX ix_late_rows_due_at ON late_rows (due_at)
;
CREATE TABLE ledger_entries (
	sequence BIGINT NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	tenant_sequence BIGINT NOT NULL,
	kind VARCHAR(80) COLLATE "C" NOT NULL,
	actor VARCHAR(80) COLLATE "C" NOT NULL,
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	subject VARCHAR(200) COLLATE "C" NOT NULL,
	header BYTEA NOT NULL,
	leaf BYTEA NOT NULL,
	CONSTRAINT pk_ledger_entries PRIMARY KEY (sequence)
)
;
CREATE INDEX ix_ledger_entries_kind ON ledger_entries (kind, sequence)
;
CREATE UNIQUE INDEX uq_ledger_entries_tenant ON ledger_entries (tenant, tenant_sequence)
;
CREATE TABLE ledger_heads (
	size BIGINT NOT NULL,
	note TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_ledger_heads PRIMARY KEY (size)
)
;
CREATE TABLE ledger_mentions (
	ref VARCHAR(200) COLLATE "C" NOT NULL,
	sequence BIGINT NOT NULL,
	CONSTRAINT pk_ledger_mentions PRIMARY KEY (ref, sequence)
)
;
CREATE TABLE ledger_nodes (
	level INTEGER NOT NULL,
	position BIGINT NOT NULL,
	hash BYTEA NOT NULL,
	CONSTRAINT pk_ledger_nodes PRIMARY KEY (level, position)
)
;
CREATE TABLE ledger_payloads (
	sequence BIGINT NOT NULL,
	salt BYTEA,
	body BYTEA,
	CONSTRAINT pk_ledger_payloads PRIMARY KEY (sequence)
)
;
CREATE TABLE ledger_size (
	tenant VARCHAR(80) COLLATE "C" NOT NULL,
	size BIGINT NOT NULL,
	CONSTRAINT pk_ledger_size PRIMARY KEY (tenant)
)
;
CREATE TABLE lineage_edges (
	record VARCHAR(80) COLLATE "C" NOT NULL,
	upstream VARCHAR(40) COLLATE "C" NOT NULL,
	downstream VARCHAR(40) COLLATE "C" NOT NULL,
	since TIMESTAMP WITH TIME ZONE NOT NULL,
	until TIMESTAMP WITH TIME ZONE,
	connection VARCHAR(80) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	relation VARCHAR(20) COLLATE "C" NOT NULL,
	said JSON NOT NULL,
	CONSTRAINT pk_lineage_edges PRIMARY KEY (record, upstream, downstream, since)
)
;
CREATE INDEX ix_lineage_edges_downstream ON lineage_edges (downstream)
;
CREATE INDEX ix_lineage_edges_upstream ON lineage_edges (upstream)
;
CREATE TABLE log_in_places (
	person VARCHAR(80) COLLATE "C" NOT NULL,
	address VARCHAR(64) COLLATE "C" NOT NULL,
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_log_in_places PRIMARY KEY (person, address)
)
;
CREATE TABLE models (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	name VARCHAR(63) COLLATE "C" NOT NULL,
	owner VARCHAR(200) COLLATE "C" NOT NULL,
	description TEXT COLLATE "C" NOT NULL,
	risk_facts JSON NOT NULL,
	tier INTEGER NOT NULL,
	risk_level VARCHAR(10) COLLATE "C" NOT NULL,
	policy VARCHAR(80) COLLATE "C" NOT NULL,
	features JSON NOT NULL,
	label VARCHAR(120) COLLATE "C" NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_models PRIMARY KEY (id),
	CONSTRAINT uq_models_name UNIQUE (name)
)
;
CREATE TABLE people (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	email VARCHAR(255) COLLATE "C" NOT NULL,
	name VARCHAR(200) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	roles JSON NOT NULL,
	password_hash VARCHAR(200) COLLATE "C" NOT NULL,
	disabled BOOLEAN NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	generation INTEGER NOT NULL,
	CONSTRAINT pk_people PRIMARY KEY (id),
	CONSTRAINT uq_people_email UNIQUE (email)
)
;
CREATE TABLE permits (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) COLLATE "C" NOT NULL,
	version VARCHAR(23) COLLATE "C" NOT NULL,
	digest VARCHAR(71) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	environment VARCHAR(40) COLLATE "C" NOT NULL,
	max_percent DOUBLE PRECISION NOT NULL,
	approval VARCHAR(80) COLLATE "C" NOT NULL,
	policy_digest VARCHAR(71) COLLATE "C" NOT NULL,
	issued_at TIMESTAMP WITH TIME ZONE NOT NULL,
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
	sealed TEXT COLLATE "C" NOT NULL,
	consumed_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT pk_permits PRIMARY KEY (id)
)
;
CREATE TABLE prediction_batches (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	source VARCHAR(80) COLLATE "C" NOT NULL,
	model VARCHAR(63) COLLATE "C" NOT NULL,
	rows INTEGER NOT NULL,
	first_at TIMESTAMP WITH TIME ZONE NOT NULL,
	last_at TIMESTAMP WITH TIME ZONE NOT NULL,
	received_at TIMESTAMP WITH TIME ZONE NOT NULL,
	body BYTEA NOT NULL,
	CONSTRAINT pk_prediction_batches PRIMARY KEY (id, source)
)
;
CREATE INDEX ix_prediction_batches_model_time ON prediction_batches (model, first_at, last_at)
;
ALTER TABLE prediction_batches ALTER COLUMN body SET STORAGE EXTERNAL
;
CREATE TABLE remediations (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	incident VARCHAR(80) COLLATE "C" NOT NULL,
	model VARCHAR(63) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	environment VARCHAR(40) COLLATE "C" NOT NULL,
	action VARCHAR(40) COLLATE "C" NOT NULL,
	args JSON NOT NULL,
	target VARCHAR(200) COLLATE "C" NOT NULL,
	requested_by VARCHAR(80) COLLATE "C" NOT NULL,
	automatic BOOLEAN NOT NULL,
	cause_type VARCHAR(40) COLLATE "C",
	confidence DOUBLE PRECISION,
	policy_digest VARCHAR(71) COLLATE "C" NOT NULL,
	attempt INTEGER NOT NULL,
	phase VARCHAR(20) COLLATE "C" NOT NULL,
	proposed_at TIMESTAMP WITH TIME ZONE NOT NULL,
	gate JSON,
	permit VARCHAR(80) COLLATE "C",
	fence INTEGER,
	started_at TIMESTAMP WITH TIME ZONE,
	executed_at TIMESTAMP WITH TIME ZONE,
	result JSON,
	measured_recovery JSON,
	settled_at TIMESTAMP WITH TIME ZONE,
	reason TEXT COLLATE "C",
	due_at TIMESTAMP WITH TIME ZONE,
	deadline TIMESTAMP WITH TIME ZONE,
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
	key VARCHAR(80) COLLATE "C" NOT NULL,
	nonce VARCHAR(64) COLLATE "C" NOT NULL,
	until TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_request_nonces PRIMARY KEY (key, nonce)
)
;
CREATE INDEX ix_request_nonces_until ON request_nonces (until)
;
CREATE TABLE retrainings (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	trigger VARCHAR(30) COLLATE "C" NOT NULL,
	incident VARCHAR(80) COLLATE "C",
	champion VARCHAR(23) COLLATE "C" NOT NULL,
	champion_digest VARCHAR(71) COLLATE "C" NOT NULL,
	proposed_version VARCHAR(23) COLLATE "C" NOT NULL,
	policy_digest VARCHAR(71) COLLATE "C" NOT NULL,
	data_from TIMESTAMP WITH TIME ZONE NOT NULL,
	data_until TIMESTAMP WITH TIME ZONE NOT NULL,
	phase VARCHAR(20) COLLATE "C" NOT NULL,
	requested_at TIMESTAMP WITH TIME ZONE NOT NULL,
	attempts INTEGER NOT NULL,
	data_digest VARCHAR(71) COLLATE "C",
	rows BIGINT,
	data_report JSON,
	challenger_digest VARCHAR(71) COLLATE "C",
	cutoff DOUBLE PRECISION,
	metrics JSON,
	comparison JSON,
	version_id VARCHAR(80) COLLATE "C",
	reason TEXT COLLATE "C",
	settled_at TIMESTAMP WITH TIME ZONE,
	due_at TIMESTAMP WITH TIME ZONE,
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
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	environment VARCHAR(40) COLLATE "C" NOT NULL,
	version_id VARCHAR(80) COLLATE "C" NOT NULL,
	version VARCHAR(23) COLLATE "C" NOT NULL,
	digest VARCHAR(71) COLLATE "C" NOT NULL,
	active_version VARCHAR(23) COLLATE "C",
	approval VARCHAR(80) COLLATE "C" NOT NULL,
	policy_digest VARCHAR(71) COLLATE "C" NOT NULL,
	steps JSON NOT NULL,
	step INTEGER NOT NULL,
	intended_percent DOUBLE PRECISION NOT NULL,
	observed_percent DOUBLE PRECISION NOT NULL,
	phase VARCHAR(20) COLLATE "C" NOT NULL,
	looks_undecided INTEGER NOT NULL,
	started_at TIMESTAMP WITH TIME ZONE NOT NULL,
	step_since TIMESTAMP WITH TIME ZONE NOT NULL,
	due_at TIMESTAMP WITH TIME ZONE,
	last_analysis JSON,
	outcome_reason TEXT COLLATE "C",
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
	content VARCHAR(64) COLLATE "C" NOT NULL,
	exposure VARCHAR(64) COLLATE "C" NOT NULL,
	sealed BYTEA NOT NULL,
	at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_routing_tables PRIMARY KEY (epoch)
)
;
CREATE TABLE rulebooks (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	version VARCHAR(40) COLLATE "C" NOT NULL,
	text TEXT COLLATE "C" NOT NULL,
	adopted_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_rulebooks PRIMARY KEY (id)
)
;
CREATE TABLE service_accounts (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	name VARCHAR(200) COLLATE "C" NOT NULL,
	owner VARCHAR(80) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	roles JSON NOT NULL,
	disabled BOOLEAN NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_service_accounts PRIMARY KEY (id),
	CONSTRAINT uq_service_accounts_name UNIQUE (name)
)
;
CREATE TABLE sessions (
	token_sha256 VARCHAR(64) COLLATE "C" NOT NULL,
	person VARCHAR(80) COLLATE "C" NOT NULL,
	id VARCHAR(80) COLLATE "C" NOT NULL,
	csrf VARCHAR(64) COLLATE "C" NOT NULL,
	generation INTEGER NOT NULL,
	address VARCHAR(64) COLLATE "C" NOT NULL,
	opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
	seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pk_sessions PRIMARY KEY (token_sha256),
	CONSTRAINT uq_sessions_id UNIQUE (id)
)
;
CREATE INDEX ix_sessions_person ON sessions (person)
;
CREATE TABLE sync_states (
	connection VARCHAR(80) COLLATE "C" NOT NULL,
	due_at TIMESTAMP WITH TIME ZONE,
	full_at TIMESTAMP WITH TIME ZONE NOT NULL,
	seen_at TIMESTAMP WITH TIME ZONE,
	vanished_at TIMESTAMP WITH TIME ZONE,
	asked JSON NOT NULL,
	progress JSON NOT NULL,
	CONSTRAINT pk_sync_states PRIMARY KEY (connection)
)
;
CREATE INDEX ix_sync_states_due_at ON sync_states (due_at)
;
CREATE TABLE syncs (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	connection VARCHAR(80) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	scope VARCHAR(10) COLLATE "C" NOT NULL,
	model TEXT COLLATE "C",
	phase VARCHAR(10) COLLATE "C" NOT NULL,
	url TEXT COLLATE "C" NOT NULL,
	identity TEXT COLLATE "C" NOT NULL,
	started_at TIMESTAMP WITH TIME ZONE NOT NULL,
	ended_at TIMESTAMP WITH TIME ZONE,
	counts JSON NOT NULL,
	failures JSON NOT NULL,
	reason TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_syncs PRIMARY KEY (id)
)
;
CREATE INDEX ix_syncs_connection ON syncs (connection, id)
;
CREATE INDEX ix_syncs_phase ON syncs (phase)
;
CREATE TABLE tenants (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	name VARCHAR(200) COLLATE "C" NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	disabled BOOLEAN NOT NULL,
	CONSTRAINT pk_tenants PRIMARY KEY (id)
)
;
CREATE TABLE watches (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	subject VARCHAR(20) COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	phase VARCHAR(20) COLLATE "C" NOT NULL,
	alarming INTEGER NOT NULL,
	calm INTEGER NOT NULL,
	since TIMESTAMP WITH TIME ZONE,
	judged_through TIMESTAMP WITH TIME ZONE,
	"window" VARCHAR(80) COLLATE "C",
	CONSTRAINT pk_watches PRIMARY KEY (id)
)
;
CREATE UNIQUE INDEX uq_watches_subject ON watches (model, coalesce(tenant, ''), subject, name)
;
CREATE TABLE windows (
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	start TIMESTAMP WITH TIME ZONE NOT NULL,
	"end" TIMESTAMP WITH TIME ZONE NOT NULL,
	phase VARCHAR(20) COLLATE "C" NOT NULL,
	due_at TIMESTAMP WITH TIME ZONE,
	rows INTEGER NOT NULL,
	drift JSON,
	performance JSON,
	skipped JSON NOT NULL,
	policy_digest VARCHAR(71) COLLATE "C" NOT NULL,
	closed_at TIMESTAMP WITH TIME ZONE,
	settled_at TIMESTAMP WITH TIME ZONE,
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
	id VARCHAR(80) COLLATE "C" NOT NULL,
	revision INTEGER NOT NULL,
	model VARCHAR(63) COLLATE "C" NOT NULL,
	tenant VARCHAR(80) COLLATE "C",
	version VARCHAR(23) COLLATE "C" NOT NULL,
	number INTEGER NOT NULL,
	predecessor VARCHAR(23) COLLATE "C",
	bump VARCHAR(5) COLLATE "C" NOT NULL,
	bump_reasons JSON NOT NULL,
	lifecycle VARCHAR(20) COLLATE "C" NOT NULL,
	digest VARCHAR(71) COLLATE "C" NOT NULL,
	size_bytes BIGINT NOT NULL,
	framework VARCHAR(40) COLLATE "C" NOT NULL,
	cutoff DOUBLE PRECISION NOT NULL,
	training_metrics JSON NOT NULL,
	training_trigger VARCHAR(30) COLLATE "C" NOT NULL,
	parent VARCHAR(23) COLLATE "C",
	reference_digest VARCHAR(71) COLLATE "C" NOT NULL,
	reference_rows BIGINT NOT NULL,
	holdout_digest VARCHAR(71) COLLATE "C" NOT NULL,
	lineage JSON NOT NULL,
	binding TEXT COLLATE "C" NOT NULL,
	signature TEXT COLLATE "C" NOT NULL,
	signer VARCHAR(80) COLLATE "C" NOT NULL,
	signed_at TIMESTAMP WITH TIME ZONE NOT NULL,
	inspection JSON NOT NULL,
	contributors JSON NOT NULL,
	created_by VARCHAR(80) COLLATE "C" NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	held_because TEXT COLLATE "C",
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
CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$
;
CREATE TRIGGER ledger_entries_frozen BEFORE UPDATE OR DELETE ON ledger_entries FOR EACH ROW EXECUTE FUNCTION ledger_refuse()
;
CREATE TRIGGER ledger_mentions_frozen BEFORE UPDATE OR DELETE ON ledger_mentions FOR EACH ROW EXECUTE FUNCTION ledger_refuse()
;
CREATE TRIGGER ledger_nodes_frozen BEFORE UPDATE OR DELETE ON ledger_nodes FOR EACH ROW EXECUTE FUNCTION ledger_refuse()
;
CREATE TRIGGER ledger_heads_frozen BEFORE UPDATE OR DELETE ON ledger_heads FOR EACH ROW EXECUTE FUNCTION ledger_refuse()
;
CREATE TRIGGER ledger_entries_no_truncate BEFORE TRUNCATE ON ledger_entries EXECUTE FUNCTION ledger_refuse()
;
CREATE TRIGGER ledger_mentions_no_truncate BEFORE TRUNCATE ON ledger_mentions EXECUTE FUNCTION ledger_refuse()
;
CREATE TRIGGER ledger_nodes_no_truncate BEFORE TRUNCATE ON ledger_nodes EXECUTE FUNCTION ledger_refuse()
;
CREATE TRIGGER ledger_heads_no_truncate BEFORE TRUNCATE ON ledger_heads EXECUTE FUNCTION ledger_refuse()
;
CREATE TRIGGER ledger_payloads_no_truncate BEFORE TRUNCATE ON ledger_payloads EXECUTE FUNCTION ledger_refuse()
;
CREATE TRIGGER ledger_size_no_truncate BEFORE TRUNCATE ON ledger_size EXECUTE FUNCTION ledger_refuse()
;
CREATE TRIGGER ledger_payloads_no_delete BEFORE DELETE ON ledger_payloads FOR EACH ROW EXECUTE FUNCTION ledger_refuse()
;
CREATE TRIGGER ledger_size_no_delete BEFORE DELETE ON ledger_size FOR EACH ROW EXECUTE FUNCTION ledger_refuse()
;
CREATE TRIGGER ledger_payloads_only_blank BEFORE UPDATE ON ledger_payloads FOR EACH ROW WHEN (NEW.body IS NOT NULL OR NEW.salt IS NOT NULL OR NEW.sequence <> OLD.sequence) EXECUTE FUNCTION ledger_refuse()
;
CREATE TRIGGER ledger_size_only_grows BEFORE UPDATE ON ledger_size FOR EACH ROW WHEN (NEW.size < OLD.size) EXECUTE FUNCTION ledger_refuse()
;
