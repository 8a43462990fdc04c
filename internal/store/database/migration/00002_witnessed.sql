-- +goose Up
CREATE TABLE witnessed (                  -- the newest checkpoint that witnesses cosigned, one row or none
	one  BIGINT PRIMARY KEY CHECK (one = 1),
	size BIGINT NOT NULL,
	note TEXT   NOT NULL                  -- with their cosignatures
);
