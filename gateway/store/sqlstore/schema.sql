CREATE TABLE resource (
	rid {{.key}},
	type {{.text}} NOT NULL,
	id {{.text}} NOT NULL,
	version bigint NOT NULL,
	vid bigint NOT NULL,
	class bigint NOT NULL,
	recorded bigint NOT NULL,
	updated bigint NOT NULL,
	deleted bigint NOT NULL
);
CREATE UNIQUE INDEX resource_id ON resource (type, id);
CREATE INDEX resource_class ON resource (class, recorded) WHERE deleted = 0;
CREATE INDEX resource_updated ON resource (type, updated, id) WHERE deleted = 0;

CREATE TABLE version (
	vid {{.key}},
	rid bigint NOT NULL,
	version bigint NOT NULL,
	class bigint NOT NULL,
	recorded bigint NOT NULL,
	updated bigint NOT NULL,
	deleted bigint NOT NULL,
	method {{.text}} NOT NULL,
	body {{.text}}
){{.bodies}};
CREATE UNIQUE INDEX version_rid ON version (rid, version);

CREATE TABLE class (
	class {{.serial}},
	key {{.text}} NOT NULL,
	type {{.text}} NOT NULL,
	author {{.text}} NOT NULL,
	process {{.text}} NOT NULL,
	clients bigint NOT NULL,
	json {{.text}} NOT NULL
);
CREATE UNIQUE INDEX class_key ON class (key);
CREATE INDEX class_type ON class (type, clients);
CREATE INDEX class_author ON class (author, type);
CREATE INDEX class_process ON class (process) WHERE process <> '';

CREATE TABLE class_client (
	client {{.text}} NOT NULL,
	type {{.text}} NOT NULL,
	class bigint NOT NULL,
	PRIMARY KEY (client, type, class)
){{.clustered}};
CREATE INDEX class_client_class ON class_client (class, client);

CREATE TABLE param (
	param {{.serial}},
	type {{.text}} NOT NULL,
	name {{.text}} NOT NULL
);
CREATE UNIQUE INDEX param_name ON param (type, name);

CREATE TABLE ix_token (
	rid bigint NOT NULL,
	param bigint NOT NULL,
	ord bigint NOT NULL,
	code {{.text}} NOT NULL,
	system {{.text}} NOT NULL,
	text {{.text}} NOT NULL,
	PRIMARY KEY (rid, param, ord)
){{.clustered}};
CREATE INDEX ix_token_code ON ix_token (param, code, rid, system);

CREATE TABLE ix_reference (
	rid bigint NOT NULL,
	param bigint NOT NULL,
	ord bigint NOT NULL,
	id {{.text}} NOT NULL,
	type {{.text}} NOT NULL,
	code {{.text}} NOT NULL,
	system {{.text}} NOT NULL,
	PRIMARY KEY (rid, param, ord)
){{.clustered}};
CREATE INDEX ix_reference_id ON ix_reference (param, id, type, rid);
CREATE INDEX ix_reference_code ON ix_reference (param, code, rid, system) WHERE code <> '';

CREATE TABLE ix_date (
	rid bigint NOT NULL,
	param bigint NOT NULL,
	ord bigint NOT NULL,
	f bigint NOT NULL,
	t bigint NOT NULL,
	PRIMARY KEY (rid, param, ord)
){{.clustered}};
CREATE INDEX ix_date_f ON ix_date (param, f, rid, t);

CREATE TABLE ix_string (
	rid bigint NOT NULL,
	param bigint NOT NULL,
	ord bigint NOT NULL,
	folded {{.text}} NOT NULL,
	exact {{.text}} NOT NULL,
	PRIMARY KEY (rid, param, ord)
){{.clustered}};
CREATE INDEX ix_string_folded ON ix_string (param, folded, rid);

CREATE TABLE ix_number (
	rid bigint NOT NULL,
	param bigint NOT NULL,
	ord bigint NOT NULL,
	low double precision NOT NULL,
	high double precision NOT NULL,
	code {{.text}} NOT NULL,
	system {{.text}} NOT NULL,
	PRIMARY KEY (rid, param, ord)
){{.clustered}};
CREATE INDEX ix_number_low ON ix_number (param, low, rid);

CREATE TABLE client (
	client {{.text}} NOT NULL PRIMARY KEY,
	version bigint NOT NULL
){{.clustered}};

CREATE TABLE facts (
	client {{.text}} NOT NULL,
	version bigint NOT NULL,
	json {{.text}} NOT NULL,
	PRIMARY KEY (client, version)
);

CREATE TABLE relation (
	party {{.text}} NOT NULL,
	client {{.text}} NOT NULL,
	PRIMARY KEY (party, client)
){{.clustered}};

CREATE TABLE key_version (
	key {{.text}} NOT NULL PRIMARY KEY,
	version bigint NOT NULL
){{.clustered}};

CREATE TABLE once (
	key {{.text}} NOT NULL PRIMARY KEY,
	until bigint NOT NULL
){{.clustered}};
CREATE INDEX once_until ON once (until);

CREATE TABLE event (
	seq {{.serial}},
	type {{.text}} NOT NULL,
	id {{.text}} NOT NULL,
	version bigint NOT NULL,
	interaction {{.text}} NOT NULL,
	time bigint NOT NULL,
	record {{.text}} NOT NULL
);

CREATE TABLE consumer (
	consumer {{.text}} NOT NULL PRIMARY KEY,
	position bigint NOT NULL
){{.clustered}};

CREATE TABLE lease (
	lease {{.text}} NOT NULL PRIMARY KEY,
	holder {{.text}} NOT NULL,
	until bigint NOT NULL
){{.clustered}};

CREATE TABLE ledger_node (
	no {{.serial}},
	node {{.text}} NOT NULL
);
CREATE UNIQUE INDEX ledger_node_node ON ledger_node (node);

CREATE TABLE ledger_entry (
	entry {{.key}},
	prev {{.bytes}} NOT NULL,
	commitment {{.bytes}} NOT NULL,
	chain {{.bytes}} NOT NULL,
	id {{.text}} NOT NULL,
	exchange {{.text}} NOT NULL,
	time {{.text}} NOT NULL,
	interaction {{.text}} NOT NULL,
	outcome {{.text}} NOT NULL,
	client {{.text}} NOT NULL,
	controller {{.text}} NOT NULL,
	actor_controller {{.text}} NOT NULL,
	app {{.text}} NOT NULL,
	recipient {{.text}} NOT NULL,
	user_id {{.text}} NOT NULL,
	person {{.text}} NOT NULL,
	role {{.text}} NOT NULL,
	basis {{.text}} NOT NULL,
	target {{.text}} NOT NULL,
	salt {{.bytes}},
	canonical {{.bytes}}
){{.bodies}};
CREATE INDEX ledger_entry_id ON ledger_entry (id);
CREATE INDEX ledger_entry_time ON ledger_entry (time, entry);
CREATE INDEX ledger_entry_client ON ledger_entry (client, time, entry) WHERE client <> '';
CREATE INDEX ledger_entry_exchange ON ledger_entry (exchange) WHERE exchange <> id;

CREATE TABLE ledger_leaf (
	seq {{.key}},
	entry bigint NOT NULL
);
CREATE UNIQUE INDEX ledger_leaf_entry ON ledger_leaf (entry);

CREATE TABLE ledger_checkpoint (
	size {{.key}},
	note {{.bytes}} NOT NULL
);
{{.sequences}}
