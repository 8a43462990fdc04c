package projection

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// A page must cost the same however many requests are stored: it is read from
// an index, in its order.
func TestPagesAreReadFromAnIndex(t *testing.T) {
	d, err := database.Open(t.Context(), filepath.Join(t.TempDir(), "writ.db"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	pending := []writ.Status{writ.StatusPending}
	for name, q := range map[string]Query{
		"all":               {},
		"next page":         {Before: "req-x"},
		"status":            {Status: pending, Before: "req-x"},
		"several statuses":  {Status: []writ.Status{writ.StatusPending, writ.StatusActive, writ.StatusClosed}, Before: "req-x"},
		"closed":            {Status: []writ.Status{writ.StatusClosed}},
		"subject":           {Subject: "ide-1", Before: "req-x"},
		"live of a subject": {Subject: "ide-1", Status: pending},
		"requester":         {Requester: "ide-1", Before: "req-x"},
		"entitlement":       {Entitlement: "db/read", Before: "req-x"},
		"target":            {Target: "db", Before: "req-x"},
		"party":             {Party: "ide-1", Before: "req-x"},
		"inbox":             {Approver: "ide-1", Status: pending, Before: "req-x"},
		"condition":         {Condition: "incident/INC-7", Status: pending, Before: "req-x"},
	} {
		text, args := q.statement()
		var plan []string
		err := database.Scan(t.Context(), d.Read, "EXPLAIN QUERY PLAN "+text, args, func(scan database.Scanner) error {
			var id, parent, unused int
			var step string
			err := scan(&id, &parent, &unused, &step)
			plan = append(plan, step)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		steps := strings.Join(plan, "; ")
		sorted := strings.Contains(steps, "TEMP B-TREE")
		if name == "live of a subject" && !strings.Contains(steps, "states_live") {
			t.Errorf("%s: %q", name, plan)
		}
		for _, step := range plan {
			if sorted || strings.HasPrefix(step, "SCAN") && !strings.Contains(step, "INDEX") && !strings.Contains(step, "page") {
				t.Errorf("%s: %s: %q", name, text, plan)
				break
			}
		}
	}
}
