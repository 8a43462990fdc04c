package projection

import (
	"context"
	"database/sql"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// Read calls f for each of the requests that exist.
func Read(ctx context.Context, q database.Querier, ids []any, f func(writ.Request)) error {
	return database.ScanIn(ctx, q, "SELECT "+columns+" FROM "+from+" WHERE r.id IN ", 1, ids, one(f))
}

// List calls f for each request that a query selects, newest first.
func List(ctx context.Context, q database.Querier, what Query, f func(writ.Request)) error {
	text, args := what.statement()
	return database.Scan(ctx, q, text, args, one(f))
}

// columns are those that hold a request; from joins their tables.
const (
	columns = "r.fixed, s.moving"
	from    = "requests r JOIN states s ON s.request = r.id"
)

func one(f func(writ.Request)) func(database.Scanner) error {
	return func(scan database.Scanner) error {
		var asked, became sql.RawBytes
		if err := scan(&asked, &became); err != nil {
			return err
		}
		r, err := decode(asked, became)
		if err == nil {
			f(r)
		}
		return err
	}
}

// Live calls f for each live request of these subjects, given as uids.
func Live(ctx context.Context, q database.Querier, subjects []any, f func(writ.UID, writ.Live)) error {
	return live(ctx, q, "live", subjects, f)
}

// Held calls f for each live request with one of these holds, whoever it is for.
func Held(ctx context.Context, q database.Querier, holds []any, f func(writ.Digest, writ.Live)) error {
	return live(ctx, q, "hold", holds, f)
}

// live calls f for each live request that has one of values in a column of
// states, with that value.
func live[K ~string](ctx context.Context, q database.Querier, column string, values []any, f func(K, writ.Live)) error {
	text := "SELECT s." + column + ", r.id, s.status, r.entitlement, r.target, r.environment, coalesce(s.hold, ''), s.inflight FROM " + from + " WHERE s." + column + " IN "
	return database.ScanIn(ctx, q, text, 1, values, func(scan database.Scanner) error {
		var of K
		var l writ.Live
		err := scan(&of, &l.ID, &l.Status, &l.Entitlement, &l.Target, &l.Environment, &l.Hold, &l.InFlight)
		if err == nil {
			f(of, l)
		}
		return err
	})
}
