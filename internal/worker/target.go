package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
)

// Targets keeps the connectors of the targets that are in use open.
type Targets struct {
	drivers map[string]connector.Driver
	secret  func(ref string) (connector.Secret, error)

	mu   sync.Mutex
	open map[writ.UID]opened
}

type opened struct {
	version int
	connector.Connector
}

// NewTargets returns targets that are opened with these drivers. Secret
// resolves the references to secrets in their configuration.
func NewTargets(drivers map[string]connector.Driver, secret func(string) (connector.Secret, error)) *Targets {
	return &Targets{drivers: drivers, secret: secret, open: map[writ.UID]opened{}}
}

// Connector returns the connector of the target that a definition names. A
// target that was removed and made again under its name is another one.
func (t *Targets) Connector(ctx context.Context, dir *writ.Directory, def writ.Definition) (connector.Connector, error) {
	doc, ok := dir.Targets[def.Target]
	if !ok || doc.UID != def.TargetUID {
		return nil, writ.Errorf(writ.Unavailable, "target %s is gone; apply its document again so that access there can be ended", def.Target)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	have, ok := t.open[doc.UID]
	if ok && have.version == doc.Version {
		return have, nil
	}
	c, err := t.start(ctx, doc)
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", doc.Name, err)
	}
	if ok {
		// Calls that still run on the old one end with an error and are repeated.
		err = have.Close()
	}
	t.open[doc.UID] = opened{doc.Version, c}
	return c, err
}

// Check refuses a target whose configuration its connector does not accept.
func (t *Targets) Check(ctx context.Context, doc writ.Target) error {
	c, err := t.start(ctx, doc)
	if err != nil {
		return err
	}
	return c.Close()
}

func (t *Targets) start(ctx context.Context, doc writ.Target) (connector.Connector, error) {
	driver, ok := t.drivers[doc.Connector]
	if !ok {
		return nil, writ.Errorf(writ.Invalid, "there is no connector %q", doc.Connector)
	}
	return driver.Open(context.WithoutCancel(ctx), doc.Config, connector.Env{Target: doc.Name, Secret: t.secret})
}

// Close closes every connector.
func (t *Targets) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for uid, c := range t.open {
		errs = append(errs, c.Close())
		delete(t.open, uid)
	}
	return errors.Join(errs...)
}
