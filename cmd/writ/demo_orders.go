package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/writhq/writ/client"
	real "github.com/writhq/writ/internal/realtest/server"
)

// orders is the orders database of the demo: a real PostgreSQL, or the
// built-in issuer where there is none.
type orders struct {
	what      string // for the audience
	documents []byte // its target and entitlement; nil: the sample's own
	use       func(context.Context, *stage, *client.Credential) (string, error)
	stop      func()
}

// openOrders starts PostgreSQL with a table of orders and two roles: writ,
// which has only the rights its reference page lists, and deploy.
func openOrders(ctx context.Context, dir string) (orders, error) {
	pg, err := real.StartPostgres(ctx, real.PostgresConfig{})
	if errors.Is(err, real.ErrMissing) {
		return orders{
			what: "PostgreSQL is not installed here: the built-in issuer stands in for the orders database.",
			use:  useKey, stop: func() {},
		}, nil
	}
	if err != nil {
		return orders{}, err
	}
	o := orders{what: fmt.Sprintf("The orders database is a real PostgreSQL %d, started for this on port %d.", pg.Version, pg.Port), use: usePassword, stop: pg.Stop}
	if err := setUpOrders(ctx, pg, dir, &o); err != nil {
		pg.Stop()
		return o, fmt.Errorf("orders database: %w", err)
	}
	return o, nil
}

const ordersSQL = `
create role deploy nologin;
create table orders (id int primary key, state text);
insert into orders values (42, 'waiting');
grant select, update on orders to deploy;
create role writ login createrole password '%s';
grant deploy to writ with admin option;
grant pg_signal_backend to writ;`

func setUpOrders(ctx context.Context, pg *real.Postgres, dir string, o *orders) error {
	dsn, err := pg.CreateDatabase(ctx, "orders")
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, fmt.Sprintf(ordersSQL, pg.Password)); err != nil {
		return err
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return err
	}
	u.User = url.User("writ")
	o.documents = fmt.Appendf(nil, ordersYAML, u)
	if err := os.MkdirAll(filepath.Join(dir, "secrets"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "secrets", "orders-db"), []byte(pg.Password), 0o600)
}

const ordersYAML = `
kind: target
name: orders-db
title: Orders database
connector: postgres
environment: production
owners: [human/max]
config: {dsn: "%s", passwordFrom: "file:orders-db"}
---
kind: entitlement
name: orders-db/deploy
title: Deploy role of the orders database
target: orders-db
credential: password
grant: {role: deploy}
maxFor: 24h
owners: [human/max]
labels: {risk: high}
`

// usePassword logs in to PostgreSQL and changes an order.
func usePassword(ctx context.Context, _ *stage, c *client.Credential) (string, error) {
	conn, err := pgx.Connect(ctx, c.Env["DATABASE_URL"])
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var who, state string
	err = conn.QueryRow(ctx, `update orders set state = 'deployed' where id = 42 returning current_user, state`).Scan(&who, &state)
	return fmt.Sprintf("%s logs in and marks order 42 as %s", who, state), err
}

// useKey shows an API key to the orders database that the issuer stands in for.
func useKey(ctx context.Context, s *stage, c *client.Credential) (string, error) {
	return s.check(ctx, c.Env["WRIT_API_KEY"], "orders-db", nil)
}
