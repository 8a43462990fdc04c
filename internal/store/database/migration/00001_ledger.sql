-- One text for SQLite and PostgreSQL: BIGINT, TEXT, BYTEA. Times are microseconds
-- since 1970 in UTC. Nothing but head, events, tiles and checkpoints is the truth;
-- requests, states, links and documents are derived from events and can be
-- made again; the rest has no history worth proving.

-- +goose Up
CREATE TABLE head (                       -- the one row that orders all changes
	one        BIGINT PRIMARY KEY CHECK (one = 1),
	size       BIGINT NOT NULL,           -- number of events
	docs       BIGINT NOT NULL,           -- position after the newest event of a document
	at         BIGINT NOT NULL,           -- of the newest event
	checkpoint TEXT   NOT NULL            -- signed note of this size
);
INSERT INTO head (one, size, docs, at, checkpoint) VALUES (1, 0, 0, 0, '');

CREATE TABLE events (
	pos    BIGINT PRIMARY KEY,            -- place in the ledger: 0, 1, 2, … without gaps
	stream TEXT   NOT NULL,
	seq    BIGINT NOT NULL,               -- place in the stream: 1, 2, 3, …
	record TEXT   NOT NULL,               -- the exact bytes that are hashed
	UNIQUE (stream, seq)
);

CREATE TABLE tiles (
	level  BIGINT NOT NULL,
	n      BIGINT NOT NULL,
	hashes BYTEA  NOT NULL,
	PRIMARY KEY (level, n)
);

CREATE TABLE checkpoints (                -- of earlier sizes, at most one a minute
	size BIGINT PRIMARY KEY,
	at   BIGINT NOT NULL,
	note TEXT   NOT NULL
);

CREATE TABLE requests (                   -- what was asked for
	id          TEXT PRIMARY KEY,
	subject     TEXT NOT NULL,            -- uid
	requester   TEXT NOT NULL,            -- uid
	entitlement TEXT NOT NULL,
	target      TEXT NOT NULL,
	environment TEXT NOT NULL,
	fixed       TEXT NOT NULL             -- terms and verdict of writ.Request as JSON
);
CREATE INDEX requests_subject     ON requests (subject, id);
CREATE INDEX requests_requester   ON requests (requester, id);
CREATE INDEX requests_entitlement ON requests (entitlement, id);
CREATE INDEX requests_target      ON requests (target, id);

CREATE TABLE states (                     -- what has become of it: small, because it changes often
	request  TEXT   PRIMARY KEY,
	seq      BIGINT NOT NULL,
	status   TEXT   NOT NULL,
	task     TEXT   NOT NULL,
	due      BIGINT,                      -- when the task wants doing
	busy     BIGINT NOT NULL,             -- until when a worker holds it
	inflight BIGINT NOT NULL,
	live     TEXT,                        -- uid of the subject while access exists or may
	hold     TEXT,                        -- until then, which access it is, if others can hold the same
	moving   TEXT   NOT NULL              -- the rest of writ.Request as JSON
);
CREATE INDEX states_due    ON states (due) WHERE due IS NOT NULL;
CREATE INDEX states_live   ON states (live, request, status) WHERE live IS NOT NULL;
CREATE INDEX states_hold   ON states (hold) WHERE hold IS NOT NULL;
CREATE INDEX states_status ON states (status, request);

CREATE TABLE links (                      -- what a request has to do with
	key     TEXT   NOT NULL,              -- uid of who has a part in it, or "end:" and a condition that ends it
	request TEXT   NOT NULL,
	waits   BIGINT NOT NULL,              -- 1: this person could decide it next
	PRIMARY KEY (key, request)
);
CREATE INDEX links_waiting ON links (key, request) WHERE waits = 1;

CREATE TABLE documents (                  -- the newest event of each document, also of a removed one
	stream TEXT   PRIMARY KEY,
	pos    BIGINT NOT NULL
);
CREATE INDEX documents_pos ON documents (pos);

CREATE TABLE texts (                      -- free text, of which the ledger has the salted hash
	request TEXT  NOT NULL,
	name    TEXT  NOT NULL,
	salt    BYTEA NOT NULL,
	text    TEXT  NOT NULL,
	PRIMARY KEY (request, name)
);

CREATE TABLE deliveries (                 -- sealed credentials that wait to be claimed
	request TEXT   PRIMARY KEY,
	attempt BIGINT NOT NULL,
	sealed  BYTEA  NOT NULL,
	until   BIGINT NOT NULL
);
CREATE INDEX deliveries_until ON deliveries (until);

CREATE TABLE nonces (                     -- challenges that were given out and not used yet
	nonce    BYTEA  PRIMARY KEY,
	person   TEXT   NOT NULL,             -- uid
	request  TEXT   NOT NULL,
	digest   TEXT   NOT NULL,
	decision TEXT   NOT NULL,
	until    BIGINT NOT NULL
);
CREATE INDEX nonces_until ON nonces (until);

CREATE TABLE repeats (                    -- idempotency keys
	caller      TEXT   NOT NULL,
	key         TEXT   NOT NULL,
	fingerprint TEXT   NOT NULL,
	request     TEXT   NOT NULL,
	at          BIGINT NOT NULL,
	PRIMARY KEY (key, caller)
);
CREATE INDEX repeats_at ON repeats (at);
