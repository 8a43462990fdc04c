package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writhq/writ"
)

// TestCompleteProvisioner refuses what makes no sense for a process that serves
// nobody, and what would leave it without a floor by oversight.
func TestCompleteProvisioner(t *testing.T) {
	good := func() Config {
		return Config{DB: "postgres://p@db/writ", Keys: "/k/provisioner.keys", Pins: &Pins{Approvers: "a"}}
	}
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"complete":                {func(*Config) {}, ""},
		"no keys":                 {func(c *Config) { c.Keys = "" }, "writ provisioner init"},
		"no database":             {func(c *Config) { c.DB = "" }, "db is empty"},
		"an embedded database":    {func(c *Config) { c.DB = "writ.db" }, "needs PostgreSQL"},
		"documents":               {func(c *Config) { c.Documents = "d" }, "documents is for the server"},
		"pages":                   {func(c *Config) { c.Sessions.Idle = 1 }, "has no pages"},
		"sign-in":                 {func(c *Config) { c.Issuers = []Issuer{{URL: "u", Audience: "a", Client: Client{ID: "i"}}} }, "has no pages"},
		"nothing to do":           {func(c *Config) { c.Worker.Off = true }, "worker.off is for the server"},
		"open without TLS":        {func(c *Config) { c.Listen = "0.0.0.0:1" }, "behindProxy"},
		"no pins":                 {func(c *Config) { c.Pins = nil }, "pins.approvers is empty"},
		"no approvers, no floor":  {func(c *Config) { c.Pins = &Pins{Floor: &Floor{}} }, ""},
		"a floor of sessions":     {func(c *Config) { c.Pins.Floor = &Floor{1, writ.BySession} }, "leaves no signature"},
		"a floor of nothing":      {func(c *Config) { c.Pins.Floor = &Floor{Approvals: 1} }, "leaves no signature"},
		"less than none":          {func(c *Config) { c.Pins.Floor = &Floor{-1, writ.BySSH} }, "0 or more"},
		"excepted, but not what":  {func(c *Config) { c.Pins.Except = []string{"e"} }, "pins.definitions"},
		"excepted as it is there": {func(c *Config) { c.Pins.Except, c.Pins.Definitions = []string{"e"}, "d" }, ""},
	} {
		c := good()
		test.change(&c)
		c, err := c.CompleteProvisioner()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if name == "complete" && (*c.Pins.Floor != Floor{1, writ.BySSH} || c.Secrets != "/k/secrets") {
			t.Errorf("by default %+v, %s", *c.Pins.Floor, c.Secrets)
		}
	}
	if _, err := (Config{Dev: true, Data: "d", Pins: &Pins{}}).Complete(); err == nil || !strings.Contains(err.Error(), "writ provisioner") {
		t.Errorf("a server with pins: %v", err)
	}
}

// TestPinsAreBesideTheFile: their paths are relative to it.
func TestPinsAreBesideTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "p.yaml")
	text := "pins:\n  approvers: a.yaml\n  definitions: /d.yaml\n  floor: {approvals: 2, proof: passkey}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Read(path)
	if err != nil || c.Pins.Approvers != filepath.Join(dir, "a.yaml") || c.Pins.Definitions != "/d.yaml" || *c.Pins.Floor != (Floor{2, writ.ByPasskey}) {
		t.Errorf("%+v, %v", c.Pins, err)
	}
}
