package projection

import (
	"strconv"
	"strings"

	"github.com/writhq/writ"
)

// A Query selects requests. Empty fields select all.
type Query struct {
	Status      []writ.Status // any of these
	Subject     writ.UID
	Requester   writ.UID
	Approver    writ.UID // could decide it next
	Party       writ.UID // asked, is the subject, or is an approver of any stage
	Entitlement string
	Target      string
	Condition   string  // may end it: "incident/INC-7"
	Before      writ.ID // older than this one: the next page
	Limit       int     // at most 1000; 50 if zero
}

// statement returns the text for a query and its arguments. Each way to select
// has an index that ends in the request, so a page is read in its order.
func (q Query) statement() (string, []any) {
	var args []any
	arg := func(value any) string {
		args = append(args, value)
		return "$" + strconv.Itoa(len(args))
	}
	tables, id := from, "r.id"
	var where []string
	if len(q.Status) > 0 {
		id = "s.request"
		where = q.status(arg)
	}
	for _, f := range []struct{ column, is string }{
		{"subject", string(q.Subject)}, {"requester", string(q.Requester)}, {"entitlement", q.Entitlement}, {"target", q.Target},
	} {
		if f.is != "" {
			id = "r.id"
			where = append(where, "r."+f.column+" = "+arg(f.is))
		}
	}
	for _, f := range []struct{ table, key, and string }{
		{"c", endKey(q.Condition), ""}, {"p", string(q.Party), ""}, {"w", string(q.Approver), " AND w.waits = 1"},
	} {
		if f.key != "" && f.key != endKey("") {
			id = f.table + ".request"
			tables += " JOIN links " + f.table + " ON " + id + " = r.id AND " + f.table + ".key = " + arg(f.key) + f.and
		}
	}
	if q.Before != "" {
		where = append(where, id+" < "+arg(string(q.Before)))
	}
	text := "SELECT " + columns + " FROM " + tables
	if len(where) > 0 {
		text += " WHERE " + strings.Join(where, " AND ")
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	return text + " ORDER BY " + id + " DESC LIMIT " + arg(min(limit, 1000)), args
}

func (q Query) status(arg func(any) string) []string {
	var list []string
	live := true
	for _, s := range q.Status {
		list = append(list, arg(string(s)))
		live = live && s.Live()
	}
	where := []string{"s.status IN (" + strings.Join(list, ", ") + ")"}
	if live {
		where = append(where, "s.live IS NOT NULL") // few are, and they have an index
	}
	if live && q.Subject != "" {
		where = append(where, "s.live = "+arg(string(q.Subject)))
	}
	return where
}
