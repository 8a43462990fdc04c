package connectortest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ/connector"
)

// A door is a small but real system: whoever is on its list and knows their word
// gets in. It is asked over TCP, one line of JSON for each question.
type door struct {
	id     string
	mu     sync.Mutex
	guests map[string]guest
}

type guest struct {
	Name, Word, Request, Room string
	Until                     time.Time
}

type question struct {
	Do string // put, drop, drop-all, list, enter
	guest
	Door string // which one is meant, if not any
}

type answer struct {
	Guests  []guest
	Refused string
	Door    string // which one answers
}

func (d *door) ask(q question) (a answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.Door = d.id; q.Door != "" && q.Door != d.id {
		return a
	}
	there, ok := d.guests[q.Name]
	switch q.Do {
	case "put":
		if q.Room == "no-such-room" {
			return answer{Refused: "there is no such room", Door: d.id}
		}
		d.guests[q.Name] = q.guest
	case "drop":
		delete(d.guests, q.Name)
	case "drop-all":
		clear(d.guests)
	case "list":
		for _, g := range d.guests {
			if q.Name == "" || q.Name == g.Name {
				a.Guests = append(a.Guests, g)
			}
		}
	case "enter":
		if !ok || there.Word != q.Word || !there.Until.IsZero() && time.Now().After(there.Until) {
			return answer{Refused: "you are not on the list", Door: d.id}
		}
	}
	return a
}

func (d *door) serve(t testing.TB) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go d.talk(conn)
		}
	}()
	return l.Addr().String()
}

func (d *door) talk(conn net.Conn) {
	defer conn.Close()
	for lines := json.NewDecoder(conn); ; {
		var q question
		if lines.Decode(&q) != nil || json.NewEncoder(conn).Encode(d.ask(q)) != nil {
			return
		}
	}
}

// doors are the doors in this process, by name, for connectors without a network.
var doors sync.Map

// doorDriver connects to doors. Broken names one way in which it does so wrongly.
type doorDriver struct{ broken string }

type doorConfig struct{ Addr, Door, Key string }

type doorGrant struct{ Room string }

func (d doorDriver) Manifest() connector.Manifest {
	m := connector.Manifest{Name: "door", Summary: "names on the list of a door", Kinds: []connector.Kind{connector.APIKey},
		SelfExpiring: true, Readable: true, ListsAll: true, EndsOpen: true}
	if d.broken == "says nothing of itself" {
		m.Summary = ""
	}
	return m
}

func (d doorDriver) decode(data json.RawMessage, v any, lax string) error {
	lines := json.NewDecoder(bytes.NewReader(data))
	if d.broken != lax {
		lines.DisallowUnknownFields()
	}
	if err := lines.Decode(v); err != nil {
		return fmt.Errorf("door: %w: %w", err, connector.ErrRefused)
	}
	if lines.More() && d.broken != lax {
		return fmt.Errorf("door: more than one object: %w", connector.ErrRefused)
	}
	return nil
}

func (d doorDriver) Check(grant json.RawMessage, kind connector.Kind) error {
	if kind != connector.APIKey {
		return fmt.Errorf("door: kind %q: %w", kind, connector.ErrRefused)
	}
	return d.decode(grant, &doorGrant{}, "checks nothing")
}

func (d doorDriver) Open(ctx context.Context, config json.RawMessage, env connector.Env) (connector.Connector, error) {
	c := &doorConn{doorDriver: d}
	if err := d.decode(config, &c.config, "takes any configuration"); err != nil {
		return nil, err
	}
	_, err := env.Secret(c.config.Key)
	return c, err
}

type doorConn struct {
	doorDriver
	config  doorConfig
	busy    atomic.Int32
	failed  atomic.Int32
	revoked sync.Map
}

// ask puts one question and waits for its answer.
func (c *doorConn) ask(ctx context.Context, q question) (a answer, err error) {
	if c.broken == "does not hear a cancel" {
		ctx = context.Background()
	}
	if err := ctx.Err(); err != nil {
		return a, fmt.Errorf("door: %w", err)
	}
	if d, ok := doors.Load(c.config.Door); ok {
		a = d.(*door).ask(q)
	} else if a, err = over(ctx, c.config.Addr, q); err != nil {
		return a, fmt.Errorf("door: %w", cmp.Or(ctx.Err(), err))
	}
	if q.Door != "" && q.Door != a.Door {
		return a, fmt.Errorf("door: this is %s, not %s", a.Door, q.Door)
	}
	if a.Refused != "" {
		err = fmt.Errorf("door: %s: %w", a.Refused, connector.ErrRefused)
	}
	return a, err
}

func over(ctx context.Context, addr string, q question) (a answer, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return a, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err = json.NewEncoder(conn).Encode(q); err == nil {
		err = json.NewDecoder(bufio.NewReader(conn)).Decode(&a)
	}
	return a, err
}

func (c *doorConn) Instance(ctx context.Context) (string, error) {
	a, err := c.ask(ctx, question{Do: "list"})
	return a.Door, err
}

// about is a question about what an order is for.
func (c *doorConn) about(do string, o connector.Order, g guest) question {
	if c.broken == "does it wherever it is" {
		o.Instance = ""
	}
	return question{do, g, o.Instance}
}

func (c *doorConn) name(o connector.Order) string {
	switch c.broken {
	case "makes the name from the subject":
		return "guest-" + o.SubjectUID
	case "makes a new name each time":
		return "guest-" + o.Request + "-" + rand.Text()
	case "makes a new name after an error":
		return fmt.Sprintf("guest-%s-%d", o.Request, c.failed.Load())
	}
	return "guest-" + o.Request
}

func (c *doorConn) Grant(ctx context.Context, o connector.Order) (r connector.Receipt, err error) {
	var section doorGrant
	if err := c.decode(o.Grant, &section, "grants whatever is asked"); err != nil {
		return r, err
	}
	if o.Kind != connector.APIKey && c.broken != "grants whatever is asked" && c.broken != "makes the name from the subject" {
		return r, fmt.Errorf("door: kind %q: %w", o.Kind, connector.ErrRefused)
	}
	g := guest{Name: c.name(o), Word: rand.Text(), Request: o.Request, Room: section.Room, Until: o.Until}
	switch c.broken {
	case "knows no end":
		g.Until = time.Time{}
	case "ends late":
		g.Until = g.Until.Add(time.Hour)
	case "cannot do two at once":
		defer c.busy.Add(-1)
		if c.busy.Add(1) > 1 {
			return r, fmt.Errorf("door: busy: %w", connector.ErrRefused)
		}
		time.Sleep(10 * time.Millisecond)
	case "logs the word":
		slog.Debug("granting", "word", g.Word)
	}
	r = connector.Receipt{External: g.Name, Detail: map[string]string{"room": g.Room}, Credential: &connector.Credential{
		Kind: o.Kind, Env: map[string]connector.Secret{"DOOR_NAME": connector.Conceal(g.Name), "DOOR_WORD": connector.Conceal(g.Word)}, Until: o.Until}}
	switch c.broken {
	case "keeps the word in the receipt":
		r.Detail["word"] = g.Word
	case "grants nothing":
		return r, nil
	}
	if _, err = c.ask(ctx, c.about("put", o, g)); err != nil {
		c.failed.Add(1)
		return connector.Receipt{}, err
	}
	return r, nil
}

func (c *doorConn) Revoke(ctx context.Context, o connector.Order, r connector.Receipt) error {
	q := c.about("drop", o, guest{Name: c.name(o)})
	switch c.broken {
	case "revokes nothing":
		return nil
	case "needs a receipt":
		q.Name = r.External
	case "revokes everything":
		q.Do = "drop-all"
	case "believes it was done":
		if _, done := c.revoked.Swap(o.Request, true); done {
			return nil
		}
	case "cannot revoke what is not there":
		if a, err := c.ask(ctx, c.about("list", o, q.guest)); err != nil || len(a.Guests) == 0 {
			return errors.Join(errors.New("door: no such guest"), err)
		}
	}
	_, err := c.ask(ctx, q)
	return err
}

func (c *doorConn) Observe(ctx context.Context, o connector.Order, _ connector.Receipt) (connector.Observation, error) {
	a, err := c.ask(ctx, c.about("list", o, guest{Name: c.name(o)}))
	switch {
	case err != nil && c.broken != "takes an error for absence":
		return connector.Observation{}, err
	case len(a.Guests) == 0:
		return connector.Observation{State: connector.Absent}, nil
	}
	seen := observation(a.Guests[0])
	if c.broken == "ends late" {
		seen.Until = o.Until
	}
	var section doorGrant
	if err := json.Unmarshal(o.Grant, &section); err != nil {
		return seen, err
	}
	if room := a.Guests[0].Room; room != section.Room && c.broken != "sees no difference" {
		seen.Differs = append(seen.Differs, fmt.Sprintf("room is %q, ordered was %q", room, section.Room))
	}
	return seen, nil
}

func observation(g guest) connector.Observation {
	return connector.Observation{External: g.Name, Request: g.Request, State: connector.Present, Until: g.Until}
}

func (c *doorConn) List(ctx context.Context, f func(connector.Observation) error) error {
	a, err := c.ask(ctx, question{Do: "list"})
	if err != nil {
		return err
	}
	for _, g := range a.Guests {
		if c.broken == "lists its own only" && g.Request == "" {
			continue
		}
		if err := f(observation(g)); err != nil && c.broken != "lists on and on" {
			return err
		}
	}
	return nil
}

func (c *doorConn) Close() error { return nil }

// doorHarness is the harness of a connector that is broken in one way, or in none.
func doorHarness(broken string, network bool) Harness {
	return Harness{Driver: doorDriver{broken}, Public: []string{"DOOR_NAME"}, Life: 300 * time.Millisecond, Target: func(t testing.TB) Target {
		d := &door{id: rand.Text(), guests: map[string]guest{}}
		target := d.target(broken)
		if network {
			target.Addr = d.serve(t)
			return target
		}
		name := rand.Text()
		doors.Store(name, d)
		t.Cleanup(func() { doors.Delete(name) })
		target.Config = func(string) json.RawMessage { return marshal(doorConfig{Door: name}) }
		return target
	}}
}

func (d *door) target(broken string) Target {
	enter := func(_ context.Context, _ connector.Order, c *connector.Credential) error {
		return refusal(d.ask(question{Do: "enter", guest: guest{Name: c.Env["DOOR_NAME"].Reveal(), Word: c.Env["DOOR_WORD"].Reveal()}}))
	}
	return Target{
		Config: func(addr string) json.RawMessage { return marshal(doorConfig{Addr: addr}) },
		Secret: func(string) (connector.Secret, error) { return connector.Conceal("the key of the door"), nil },
		Order: func(string, connector.Kind) connector.Order {
			return connector.Order{Grant: marshal(doorGrant{"hall"})}
		},
		Works: enter,
		Count: func() int { return len(d.ask(question{Do: "list"}).Guests) },
		Session: func(ctx context.Context, o connector.Order, c *connector.Credential) (func() error, error) {
			return func() error {
				if broken == "leaves sessions open" {
					return nil
				}
				return enter(ctx, o, c)
			}, nil
		},
		Alter: map[string]func(connector.Order, connector.Receipt) bool{"another room": func(_ connector.Order, r connector.Receipt) bool {
			g := d.ask(question{Do: "list", guest: guest{Name: r.External}}).Guests[0]
			g.Room = "vault"
			return refusal(d.ask(question{Do: "put", guest: g})) == nil
		}},
		Foreign: func() string {
			d.ask(question{Do: "put", guest: guest{Name: "by-hand"}})
			return "by-hand"
		},
		Refuse: func(connector.Kind) map[string]connector.Order {
			return map[string]connector.Order{"a room that does not exist": {Grant: marshal(doorGrant{"no-such-room"})}}
		},
	}
}

func refusal(a answer) error {
	if a.Refused != "" {
		return errors.New(strings.ToLower(a.Refused))
	}
	return nil
}

func marshal(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
