package issuer

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/issuer/mint"
	"github.com/writhq/writ/internal/realtest"
)

func TestNewerDatabaseIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sql.DB) {
		i, _ := open(t, Config{DB: db})
		if err := i.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(`UPDATE issuer_clock SET version = version + 1`); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), Config{DB: db, Keys: testKeys(), URL: testURL})
		if err == nil || !strings.Contains(err.Error(), "run a newer program") {
			t.Errorf("opened a newer database: %v", err)
		}
	})
}

func TestProcessesMayStartTogether(t *testing.T) {
	dsn := realtest.Database(t)
	dbs := make([]*sql.DB, 8)
	for n := range dbs {
		dbs[n] = openPostgres(t, dsn)
	}
	var all sync.WaitGroup
	for _, db := range dbs {
		all.Go(func() {
			i, err := Open(t.Context(), Config{DB: db, Keys: testKeys(), URL: testURL})
			if err != nil {
				t.Error(err)
				return
			}
			if err := i.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	db := sqliteDB(t)
	for name, cfg := range map[string]Config{
		"no database": {Keys: testKeys(), URL: testURL},
		"no keys":     {DB: db, URL: testURL},
		"no URL":      {DB: db, Keys: testKeys()},
	} {
		if _, err := Open(t.Context(), cfg); err == nil || !strings.HasPrefix(err.Error(), "issuer: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (Driver{}).Open(t.Context(), nil, connector.Env{Target: "keys"}); err == nil {
		t.Error("a driver without an authority opened a target")
	}
}

func TestAccessBeginsAndEndsToTheMicrosecond(t *testing.T) {
	c := newClock()
	i, target := open(t, Config{DB: sqliteDB(t), Sole: true, Now: c.now})
	o := order(t, "req-1", connector.APIKey, c.now().Add(time.Minute).Truncate(time.Microsecond))
	_, key := grant(t, target, o)
	for _, at := range []struct {
		time time.Time
		want Reason
	}{
		{o.From.Add(-time.Microsecond), Early}, {o.From, Active}, {o.Until.Add(-time.Microsecond), Active}, {o.Until, Expired},
		{o.Until.Add(365 * 24 * time.Hour), Expired},
		{o.From, Active}, // a clock that is put back gives back only what was not ended
	} {
		c.at.Store(at.time.UnixNano())
		judged(t, i, key, at.want)
	}
	revoke(t, target, o)
	judged(t, i, key, Ended)
}

// Who can write to the database cannot widen a key: what it is good for is part
// of what the MAC covers.
func TestTamperedTermsMakeAKeyUseless(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *sql.DB) {
		for column, value := range map[string]string{
			"scope": `'{"service":"admin"}'`, "section": `'{"audience":"admin-api"}'`, "subject": `'root'`, "uid": `'uid-0'`,
			"until": `until + 1`, "starts": `starts - 1`, "entitlement": `'admin'`, "environment": `'test'`, "request": `'req-other'`,
			"target": `'other'`, "writ": `'other'`,
		} {
			_, target := open(t, Config{DB: db})
			_, key := grant(t, target, order(t, "req-"+column, connector.APIKey, time.Now()))
			if _, err := db.Exec(`UPDATE issuer_credential SET `+column+` = `+value+` WHERE id = $1`, key[keyAt:keyAt+10]); err != nil {
				t.Fatal(err)
			}
			i, _ := open(t, Config{DB: db})
			judged(t, i, key, Mismatch)
		}
		_, target := open(t, Config{DB: db})
		_, key := grant(t, target, order(t, "req-kind", connector.APIKey, time.Now()))
		if _, err := db.Exec(`UPDATE issuer_credential SET kind = 'access-token' WHERE request = 'req-kind'`); err != nil {
			t.Fatal(err)
		}
		i, _ := open(t, Config{DB: db})
		judged(t, i, key, Unknown)
	})
}

func TestDamagedRowIsAnErrorNotAKey(t *testing.T) {
	db := sqliteDB(t)
	i, target := open(t, Config{DB: db, Sole: true, Cache: 1})
	_, key := grant(t, target, order(t, "req-1", connector.APIKey, time.Now()))
	grant(t, target, order(t, "req-2", connector.APIKey, time.Now()))
	for _, damage := range []string{`mac = ''`, `mac = '!'`, `scope = '{'`, `section = ''`} {
		if _, err := db.Exec(`UPDATE issuer_credential SET ` + damage + ` WHERE request = 'req-1'`); err != nil {
			t.Fatal(err)
		}
		v, err := i.Verify(t.Context(), key, nil)
		if v.Active || err == nil || !strings.Contains(err.Error(), "req-1") {
			t.Errorf("%s: %+v, %v", damage, v, err)
		}
	}
}

// What nobody can be asked about is said to last: as long as somebody offline may
// still honour it.
func TestResidualSaysWhatMayStillBeHonoured(t *testing.T) {
	c := newClock()
	_, target := open(t, Config{DB: sqliteDB(t), Sole: true, Now: c.now})
	for _, kind := range mint.Kinds {
		o := order(t, "req-"+string(kind), kind, c.now())
		o.Until = c.now().Add(time.Hour)
		end := mint.Until(o)
		if !mint.Offline(kind) {
			end = time.Time{}
		}
		observe := func(state connector.State, residual time.Time) {
			t.Helper()
			seen, err := target.Observe(t.Context(), o, connector.Receipt{})
			if err != nil || seen.State != state || !seen.Residual.Equal(residual) || len(seen.Differs) > 0 {
				t.Errorf("%s: %+v, %v; want %s, residual %s", kind, seen, err, state, residual)
			}
		}
		grant(t, target, o)
		observe(connector.Present, time.Time{})
		grant(t, target, o)
		observe(connector.Present, end) // the first one was replaced
		revoke(t, target, o)
		observe(connector.Absent, end)
		c.forward(time.Hour)
		observe(connector.Absent, time.Time{})
		grant(t, target, order(t, "req-late-"+string(kind), kind, c.now()))
	}
}

func TestExpiredAccessIsAbsentWithoutRevocation(t *testing.T) {
	c := newClock()
	_, target := open(t, Config{DB: sqliteDB(t), Sole: true, Now: c.now})
	o := order(t, "req-1", connector.APIKey, c.now())
	grant(t, target, o)
	c.forward(time.Hour)
	seen, err := target.Observe(t.Context(), o, connector.Receipt{})
	if err != nil || seen.State != connector.Absent || seen.Until.IsZero() || seen.Detail["id"] == "" {
		t.Errorf("observed %+v, %v", seen, err)
	}
	err = target.List(t.Context(), func(seen connector.Observation) error { return fmt.Errorf("listed %+v", seen) })
	if err != nil {
		t.Error(err)
	}
}

func TestHistoryOutlivesTheGrant(t *testing.T) {
	db := sqliteDB(t)
	_, target := open(t, Config{DB: db, Sole: true})
	o := order(t, "req-1", connector.APIKey, time.Now())
	first, _ := grant(t, target, o)
	second, _ := grant(t, target, o)
	revoke(t, target, o)
	revoke(t, target, o)
	rows, err := db.Query(`SELECT fingerprint FROM issuer_credential WHERE request = 'req-1' AND ended > 0 ORDER BY changed`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var kept []string
	for rows.Next() {
		var fingerprint string
		if err := rows.Scan(&fingerprint); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, fingerprint)
	}
	if diff := cmp.Diff([]string{first.Fingerprint, second.Fingerprint}, kept); diff != "" || rows.Err() != nil {
		t.Errorf("%s %v", diff, rows.Err())
	}
}

func TestTargetSettings(t *testing.T) {
	i, _ := open(t, Config{DB: sqliteDB(t), Sole: true})
	target := targetOf(t, i, `{"audience":"billing-api","verifiers":["gateway","billing"]}`)
	grants := map[string]string{
		`{}`:                                  `{"audience":"billing-api","verifiers":["gateway","billing"]}`,
		`{"audience":"x"}`:                    `{"audience":"x","verifiers":["gateway","billing"]}`,
		`{"verifiers":["billing"]}`:           `{"audience":"billing-api","verifiers":["billing"]}`,
		`{"verifiers":["billing","mallory"]}`: "",
	}
	for _, kind := range []connector.Kind{connector.APIKey, connector.AccessToken} {
		for ask, want := range grants {
			o := order(t, "req-"+string(kind)+ask, kind, time.Now())
			o.Grant = json.RawMessage(ask)
			_, err := target.Grant(t.Context(), o)
			if want == "" {
				if err == nil || !strings.Contains(err.Error(), "mallory") {
					t.Errorf("%s: %v", ask, err)
				}
				continue
			}
			seen, err2 := target.Observe(t.Context(), o, connector.Receipt{})
			if err != nil || err2 != nil || seen.Detail["grant"] != want || len(seen.Differs) > 0 {
				t.Errorf("%s: %v, %v, %+v", ask, err, err2, seen)
			}
		}
	}
	for _, config := range []string{`null`, `[]`, `{"verifiers":["a","a"]}`, `{"verifiers":[""]}`, `{"audiences":[]}`, `{} {}`} {
		if _, err := (Driver{i}).Open(t.Context(), json.RawMessage(config), connector.Env{}); err == nil {
			t.Errorf("accepted the configuration %s", config)
		}
	}
}

func TestObserveNamesEachDifference(t *testing.T) {
	i, target := open(t, Config{DB: sqliteDB(t), Sole: true})
	o := order(t, "req-1", connector.SSHCert, time.Now())
	r, _ := grant(t, target, o)
	other := o
	other.Kind, other.Subject, other.SubjectUID, other.Serial = connector.APIKey, "s", "u", "w"
	other.Entitlement, other.Environment, other.PublicKey = "e", "v", ""
	other.Grant, other.Scope = json.RawMessage(`{}`), map[string]string{"a": "b"}
	other.From, other.Until = o.From.Add(-time.Hour), o.Until.Add(time.Hour)
	r.Fingerprint = "other"
	second, err := Driver{i}.Open(t.Context(), nil, connector.Env{Target: "another"})
	if err != nil {
		t.Fatal(err)
	}
	seen, err := second.Observe(t.Context(), other, r)
	if err != nil {
		t.Fatal(err)
	}
	var fields []string
	for _, way := range seen.Differs {
		field, _, _ := strings.Cut(way, " is ")
		fields = append(fields, field)
	}
	want := []string{"target", "kind", "subject", "subject uid", "entitlement", "environment", "writ", "grant", "scope", "public key", "fingerprint", "from", "until"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Error(diff)
	}
}

// No secret is found in the files of the database, in what is logged, or in any
// error, after everything that can be done with credentials was done to many.
func TestSecretsStayWithTheirHolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log, logs := logged()
	db := openSQLite(t, filepath.Join(dir, "issuer.db"))
	i, target := open(t, Config{DB: db, Sole: true, Log: log})
	var said bytes.Buffer
	var secrets []string
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for n := range issuances {
		kind := []connector.Kind{connector.APIKey, connector.AccessToken}[n%2]
		o := order(t, fmt.Sprintf("req-%d", n), kind, time.Now())
		r, text := grant(t, target, o)
		secrets = append(secrets, text[len(text)-30:len(text)-6]) // the part that nobody can guess
		seen, err := target.Observe(t.Context(), o, r)
		fmt.Fprintln(&said, r, seen, err)
		v, err := i.Verify(t.Context(), text, nil)
		fmt.Fprintf(&said, "%+v %v", v, err)
		v, err = i.Verify(t.Context(), text+"x", nil)
		fmt.Fprintf(&said, "%+v %v", v, err)
		_, err = target.Grant(cancelled, o)
		fmt.Fprintln(&said, err)
		if n%3 == 0 {
			revoke(t, target, o)
		}
	}
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	v, err := i.Verify(t.Context(), "writ_live_", nil)
	fmt.Fprintln(&said, v, err, logs)
	pepper := string(testKeys().Pepper)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(content, fmt.Appendf(nil, "req-%d", issuances-1)) {
			t.Fatalf("%s does not hold what was stored last", file)
		}
		said.Write(content)
	}
	if found := slices.IndexFunc(append(secrets, pepper), func(secret string) bool { return bytes.Contains(said.Bytes(), []byte(secret)) }); found >= 0 {
		t.Errorf("secret %d of %d was found", found, len(secrets))
	}
}

// Keys that were issued must stay good after an upgrade, so how their terms are
// written down never changes: new fields are left out where they are empty.
func TestTermsAreFrozen(t *testing.T) {
	r := row{
		id: "0123456789", target: "keys", request: "req-1", writ: "w-1", kind: connector.APIKey, subject: "service/ci", uid: "uid-7",
		entitlement: "keys/billing", environment: "production", scope: map[string]string{"service": "billing", "a": "<&>"},
		section: mint.Section{Audience: "billing-api", Scopes: []string{"read"}, Verifiers: []string{"service/gateway"}},
		starts:  1764000000000000, until: 1764003600000001,
		fingerprint: "not a term", ended: 1, used: 2, changed: 3,
	}
	if got, want := fmt.Sprintf("%x", r.terms()), "c289082186f16e21f076471523395b22dc9a43776216c36bfbf09e23012c0cf8"; got != want {
		t.Errorf("the terms' digest is %s, was %s", got, want)
	}
}
