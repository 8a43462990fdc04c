package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
)

// Targets keeps the connectors of the targets that are in use open.
type Targets struct {
	Pins *Pins // of these are the documents of targets, if it has any

	drivers map[string]connector.Driver
	secret  func(ref string) (connector.Secret, error)

	mu      sync.Mutex
	open    map[writ.UID]opened
	lines   map[writ.UID]*line
	closing sync.WaitGroup // of those that were replaced
}

type opened struct {
	version int
	config  writ.Digest
	connector.Connector
}

// instance returns where the connector leads: in its own words, or, where it has
// none, by its configuration.
func (o opened) instance(ctx context.Context) (string, error) {
	where := ""
	if l, ok := o.Connector.(connector.Locator); ok {
		var err error
		if where, err = l.Instance(ctx); err != nil {
			return "", err
		}
	}
	return cmp.Or(where, "configuration "+string(o.config)), nil
}

// NewTargets returns targets that are opened with these drivers. Secret
// resolves the references to secrets in their configuration.
func NewTargets(drivers map[string]connector.Driver, secret func(string) (connector.Secret, error)) *Targets {
	return &Targets{drivers: drivers, secret: secret, open: map[writ.UID]opened{}, lines: map[writ.UID]*line{}}
}

// connector returns the connector of the target that a definition names. A
// target that was removed and made again under its name is another one.
func (t *Targets) connector(ctx context.Context, dir *writ.Directory, def writ.Definition) (opened, error) {
	doc, ok := t.Pins.targets(dir)[def.Target]
	if !ok || doc.UID != def.TargetUID {
		return opened{}, writ.Errorf(writ.Unavailable, "target %s is gone, or another one goes by its name; access there cannot be ended from here", def.Target)
	}
	if doc.Connector != def.Connector { // another system would say that there is nothing, and mean itself
		return opened{}, writ.Errorf(writ.Unavailable, "target %s is of connector %s by now; make it %s again, so that access there can be ended", doc.Name, doc.Connector, def.Connector)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	have, ok := t.open[doc.UID]
	if ok && have.version >= doc.Version {
		return have, nil
	}
	is := opened{version: doc.Version}
	var err error
	if is.Connector, err = t.start(ctx, doc); err == nil {
		is.config, err = doc.ConfigDigest()
	}
	if err != nil {
		return opened{}, fmt.Errorf("target %s: %w", doc.Name, err)
	}
	if ok {
		// Calls that still run on the old one hold it up, and nobody else.
		t.closing.Go(func() { _ = have.Close() })
	}
	t.open[doc.UID] = is
	return is, nil
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
	defer t.closing.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for uid, c := range t.open {
		errs = append(errs, c.Close())
		delete(t.open, uid)
	}
	return errors.Join(errs...)
}

// A line is the tasks at one target that are under way.
type line struct {
	since []time.Time // when each of them began, the oldest first
	slow  bool        // whether the last one that ended took long
}

// few is how many tasks may wait for a target that does not answer.
const few = 4

var errSlow = errors.New("it is tried again when some of them have ended")

// enter says that a task at a target begins, until over is called. It refuses
// with errSlow where others have waited there for long: a target that hangs must
// not take up everybody's time, for access elsewhere has to end as well.
func (t *Targets) enter(def writ.Definition, long time.Duration) (over func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.lines[def.TargetUID]
	if !ok {
		l = &line{}
		t.lines[def.TargetUID] = l
	}
	now := time.Now()
	l.slow = l.slow || len(l.since) > 0 && now.Sub(l.since[0]) >= long
	if l.slow && len(l.since) >= few {
		return nil, fmt.Errorf("target %s does not answer, and %d tasks wait for it; %w", def.Target, len(l.since), errSlow)
	}
	l.since = append(l.since, now)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		i := slices.Index(l.since, now)
		l.since = slices.Delete(l.since, i, i+1)
		l.slow = time.Since(now) >= long
	}, nil
}
