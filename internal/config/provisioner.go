package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/writhq/writ"
)

// Pins are what a provisioner believes whatever the ledger says.
type Pins struct {
	Approvers   string   `yaml:"approvers"`   // file of keys, as 'writ get key -o yaml' prints them
	Floor       *Floor   `yaml:"floor"`       // what every grant needs; one approval by ssh
	Definitions string   `yaml:"definitions"` // file of targets and entitlements, printed likewise; any if empty
	Except      []string `yaml:"except"`      // entitlements among them that need no approval
	LogKey      string   `yaml:"logKey"`      // verifier key of the ledger; that of the key file if empty
}

// A Floor is the least that every grant needs, whatever policy says.
type Floor struct {
	Approvals int         `yaml:"approvals"`
	Proof     writ.Method `yaml:"proof"`
}

// CompleteProvisioner is Complete for a process that serves nobody and calls
// targets. What makes no sense for it is refused: whoever wrote it there meant
// something that does not happen.
func (c Config) CompleteProvisioner() (Config, error) {
	fill(&c.Listen, "127.0.0.1:7482")
	if c.Keys == "" && c.Data == "" {
		return c, errors.New("configuration: say where the key file is (keys: FILE); 'writ provisioner init' makes it")
	}
	fill(&c.Keys, filepath.Join(c.Data, "provisioner.keys"))
	if c.Secrets == "" && c.Data == "" {
		c.Secrets = filepath.Join(filepath.Dir(c.Keys), "secrets")
	}
	c.complete()
	if c.Pins == nil {
		c.Pins = &Pins{}
	}
	if c.Pins.Floor == nil {
		c.Pins.Floor = &Floor{Approvals: 1, Proof: writ.BySSH}
	}
	switch {
	case c.DB == "":
		return c, errors.New("configuration: db is empty; name the server's PostgreSQL database, with a role of the provisioner's own")
	case c.Embedded():
		return c, fmt.Errorf("configuration: db %q is a file, which only one process can use; a provisioner that runs apart needs PostgreSQL", c.DB)
	case c.Documents != "":
		return c, errors.New("configuration: documents is for the server; a provisioner changes none")
	case c.Sessions != (Sessions{}) || slices.ContainsFunc(c.Issuers, func(i Issuer) bool { return i.Client.ID != "" }):
		return c, errors.New("configuration: sessions and issuers' client are for the server; a provisioner has no pages")
	case c.Worker.Off:
		return c, errors.New("configuration: worker.off is for the server; calling targets is all that a provisioner does")
	}
	if err := c.Pins.check(); err != nil {
		return c, err
	}
	return c, c.check()
}

func (p Pins) check() error {
	f := *p.Floor
	switch {
	case f.Approvals < 0:
		return fmt.Errorf("configuration: pins.floor.approvals is %d; it is 0 or more", f.Approvals)
	case f.Approvals > 0 && f.Proof != writ.BySSH && f.Proof != writ.ByPasskey:
		return fmt.Errorf("configuration: pins.floor.proof %q leaves no signature of a pinned key; write ssh or passkey", f.Proof)
	case f.Approvals > 0 && p.Approvers == "":
		return errors.New("configuration: pins.approvers is empty, so nothing could ever be granted: name a file with what 'writ get key -o yaml' prints, or write floor: {approvals: 0} to believe the ledger's own keys")
	case len(p.Except) > 0 && p.Definitions == "":
		return errors.New("configuration: pins.except names entitlements, and pins.definitions no file that says what they are: whoever can change a document could have them give anything")
	}
	return nil
}
