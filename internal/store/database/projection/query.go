package projection

import (
	"slices"
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
	w := &writing{}
	tables, id := from, "r.id"
	if others, live := q.notAsked(); live && q.Subject != "" { // few are, and they have an index of their own
		id = "s.request"
		w.where("s.live = " + w.arg(string(q.Subject)))
		if len(others) > 0 {
			w.where("s.status NOT IN (" + strings.Join(w.statuses(others), ", ") + ")") // which tempts nobody to another index
		}
		q.Subject, q.Status = "", nil
	}
	for _, f := range []struct{ column, is string }{
		{"subject", string(q.Subject)}, {"requester", string(q.Requester)}, {"entitlement", q.Entitlement}, {"target", q.Target},
	} {
		if f.is != "" {
			w.where("r." + f.column + " = " + w.arg(f.is))
		}
	}
	for _, f := range []struct{ table, key, and string }{
		{"c", endKey(q.Condition), ""}, {"p", string(q.Party), ""}, {"w", string(q.Approver), " AND w.waits = 1"},
	} {
		if f.key != "" && f.key != endKey("") {
			id = f.table + ".request"
			tables += " JOIN links " + f.table + " ON " + id + " = r.id AND " + f.table + ".key = " + w.arg(f.key) + f.and
		}
	}
	limit := w.arg(q.limit())
	if alone := len(w.conditions) == 0 && tables == from; alone && len(q.Status) > 0 {
		id = "s.request"
		w.where(id + " IN (" + q.pages(w, limit) + ")")
	} else if len(q.Status) > 0 {
		w.where("s.status IN (" + strings.Join(w.statuses(q.Status), ", ") + ")")
	}
	if q.Before != "" {
		w.where(id + " < " + w.arg(string(q.Before)))
	}
	text := "SELECT " + columns + " FROM " + tables
	if len(w.conditions) > 0 {
		text += " WHERE " + strings.Join(w.conditions, " AND ")
	}
	return text + " ORDER BY " + id + " DESC LIMIT " + limit, w.args
}

// pages selects a page of each status: what is asked for is the first of them
// together.
func (q Query) pages(w *writing, limit string) string {
	before := ""
	if q.Before != "" {
		before = " AND request < " + w.arg(string(q.Before))
	}
	var pages []string
	for _, status := range w.statuses(q.Status) {
		pages = append(pages, "SELECT request FROM (SELECT request FROM states WHERE status = "+status+before+" ORDER BY request DESC LIMIT "+limit+") AS page")
	}
	return strings.Join(pages, " UNION ALL ")
}

// notAsked returns the statuses of live requests that are not asked for, if
// only live ones are.
func (q Query) notAsked() (others []writ.Status, live bool) {
	for _, s := range []writ.Status{writ.StatusPending, writ.StatusAuthorized, writ.StatusGranting, writ.StatusActive, writ.StatusRevoking} {
		if !slices.Contains(q.Status, s) {
			others = append(others, s)
		}
	}
	over := func(s writ.Status) bool { return !s.Live() }
	return others, len(q.Status) > 0 && !slices.ContainsFunc(q.Status, over)
}

func (q Query) limit() int {
	if q.Limit <= 0 {
		return 50
	}
	return min(q.Limit, 1000)
}

// writing is a statement that is being written.
type writing struct {
	conditions []string
	args       []any
}

func (w *writing) where(condition string) { w.conditions = append(w.conditions, condition) }

// arg returns the parameter for a value.
func (w *writing) arg(value any) string {
	w.args = append(w.args, value)
	return "$" + strconv.Itoa(len(w.args))
}

func (w *writing) statuses(all []writ.Status) (list []string) {
	for _, s := range all {
		list = append(list, w.arg(string(s)))
	}
	return list
}
