package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/config"
)

const (
	maxKey = `kind: key
name: ssh-1
uid: key-1
version: 1
digest: sha256:00
identity: human/max
identityUid: ide-1
method: ssh
public: ssh-ed25519 AAAA
enrolled: "2026-11-23T10:00:00Z"
`
	ordersTarget = `kind: target
name: orders
uid: tar-1
version: 3
connector: postgres
environment: production
config:
  dsn: postgres://writ@db/orders
  port: 5432
`
	ordersRead = `kind: entitlement
name: orders/read
uid: ent-1
target: orders
credential: password
grant: {role: reader}
maxFor: 1h
`
)

// TestReadPins reads what `writ get -o yaml` prints and refuses what it does
// not: somebody who pins too little by mistake must hear of it.
func TestReadPins(t *testing.T) {
	for name, c := range map[string]struct {
		approvers, definitions string
		except                 string
		says                   string
	}{
		"all there is":          {maxKey, ordersTarget + "---\n" + ordersRead, "orders/read", ""},
		"two keys of one":       {maxKey + "---\n" + strings.Replace(maxKey, "ssh-1", "ssh-2", 1), ordersTarget, "", ""},
		"one key of two":        {maxKey + "---\n" + strings.NewReplacer("ssh-1", "ssh-2", "human/max", "human/sue").Replace(maxKey), ordersTarget, "", "one key is pinned for both"},
		"no keys":               {"# none yet\n", ordersTarget, "", "holds nothing"},
		"something else":        {ordersTarget, ordersTarget, "", "target \"orders\" is not what 'writ get key -o yaml' prints"},
		"a key as a definition": {maxKey, maxKey, "", "key \"ssh-1\" is not what"},
		"written by hand":       {maxKey, strings.Replace(ordersTarget, "uid: tar-1\n", "", 1), "", "is not what 'writ get target -o yaml' prints"},
		"a field too many":      {maxKey + "admin: true\n", ordersTarget, "", "unknown field"},
		"not YAML":              {"kind: [", ordersTarget, "", "approvers.yaml"},
		"excepted, not defined": {maxKey, ordersTarget, "orders/read", "does not define"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			pins := config.Pins{Approvers: filepath.Join(dir, "approvers.yaml"), Definitions: filepath.Join(dir, "definitions.yaml"), Floor: &config.Floor{Approvals: 1, Proof: writ.BySSH}}
			for path, text := range map[string]string{pins.Approvers: c.approvers, pins.Definitions: c.definitions} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if c.except != "" {
				pins.Except = []string{c.except}
			}
			got, err := readPins(&pins)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v, want %q", err, c.says)
				}
				return
			}
			if err != nil || len(got.Keys) == 0 || got.Keys[0].Party() != (writ.Party{Name: "human/max", UID: "ide-1"}) || got.Documents.Targets["orders"].UID != "tar-1" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	if _, err := readPins(&config.Pins{Approvers: "/nowhere", Floor: &config.Floor{}}); err == nil {
		t.Error("a file that is not there was read")
	}
}
