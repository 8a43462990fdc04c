package store

import (
	"slices"
	"testing"

	"github.com/writhq/writ"
)

func TestListSelects(t *testing.T) {
	each(t, func(t *testing.T, dsn string) {
		db := openWorld(t, dsn)
		pending, second, held := submit(t, db, 1), submit(t, db, 2), active(t, db, 1)
		must(t, db, approving(second.ID, "human/cyd")) // waits for security
		closed := active(t, db, 3)
		must(t, db, closing(closed.ID)...)
		other := must(t, db, asking(newID(), service(4), "billing/read"))

		uid := func(ref writ.Ref) writ.UID { return db.Directory().Identities[ref].UID }
		live := []writ.Status{writ.StatusPending, writ.StatusAuthorized, writ.StatusGranting, writ.StatusActive, writ.StatusRevoking}
		for name, c := range map[string]struct {
			q    Query
			want []writ.Request
		}{
			"all":                 {Query{}, []writ.Request{other, closed, held, second, pending}},
			"a page":              {Query{Limit: 2}, []writ.Request{other, closed}},
			"the next page":       {Query{Limit: 2, Before: closed.ID}, []writ.Request{held, second}},
			"of a status":         {Query{Status: []writ.Status{writ.StatusClosed}}, []writ.Request{closed}},
			"live":                {Query{Status: live}, []writ.Request{other, held, second, pending}},
			"of two statuses":     {Query{Status: []writ.Status{writ.StatusClosed, writ.StatusActive}}, []writ.Request{closed, held}},
			"of a subject":        {Query{Subject: uid(service(1))}, []writ.Request{held, pending}},
			"live of a subject":   {Query{Subject: uid(service(1)), Status: live, Before: held.ID}, []writ.Request{pending}},
			"by a requester":      {Query{Requester: uid(service(3))}, []writ.Request{closed}},
			"inbox of a manager":  {Query{Approver: uid("human/bob")}, []writ.Request{other, pending}},
			"inbox of security":   {Query{Approver: uid("human/eve")}, []writ.Request{second}},
			"party":               {Query{Party: uid("human/eve"), Limit: 2}, []writ.Request{other, closed}},
			"subject is party":    {Query{Party: uid(service(3))}, []writ.Request{closed}},
			"of an entitlement":   {Query{Entitlement: "billing/read"}, []writ.Request{other}},
			"of a target":         {Query{Target: "orders", Status: []writ.Status{writ.StatusPending}}, []writ.Request{second, pending}},
			"with a condition":    {Query{Condition: "incident/INC-7"}, []writ.Request{closed, held, second, pending}},
			"live with condition": {Query{Condition: "incident/INC-7", Status: live}, []writ.Request{held, second, pending}},
			"none":                {Query{Condition: "incident/INC-8"}, nil},
		} {
			got, err := db.List(t.Context(), c.q)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if ids(got) == nil || !slices.Equal(ids(got), ids(c.want)) {
				t.Errorf("%s: %v, want %v", name, ids(got), ids(c.want))
			}
		}
	})
}

func ids(rs []writ.Request) []writ.ID {
	out := []writ.ID{}
	for _, r := range rs {
		out = append(out, r.ID)
	}
	return out
}
