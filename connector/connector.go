// Package connector says what Writ asks of a real system: make this access
// exist, make it stop, show what is there. One folder below this one adds a
// system, plus one line in cmd/writ/connectors.go; package connectortest holds
// every connector to the contract written here.
package connector

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/writhq/writ"
)

// A Connector makes access exist in one configured target, and makes it stop.
//
// Every method may be called again after any outcome, also after one the caller
// never learned of (a timeout, a crash), and must then lead to the same end
// state. The name of whatever a Grant creates is derived from Order.Request
// alone, so that a Revoke with an empty Receipt finds it too.
type Connector interface {
	// Grant makes the ordered access exist, never beyond order.Until where the
	// target can end access itself. Repeated for the same request it leaves one
	// access, and the Credential returned last is the one that works.
	Grant(ctx context.Context, order Order) (Receipt, error)

	// Revoke makes the ordered access not exist, and ends what is open through
	// it where the target can. Access that is not there is success. The receipt
	// may be empty: the grant may have failed halfway or its answer may be lost.
	Revoke(ctx context.Context, order Order, receipt Receipt) error

	// Observe reads back from the target what is there for the order, and says
	// field by field how it differs from what was ordered. It changes nothing.
	Observe(ctx context.Context, order Order, receipt Receipt) (Observation, error)

	// List calls f for every access that exists in the target, made by Writ or
	// not, until f returns an error, which List then returns.
	List(ctx context.Context, f func(Observation) error) error

	// Close releases what the connector holds open. It ends no access.
	Close() error
}

// A Locator is a Connector that can tell which one of all systems its
// configuration leads to: an address may lead to another server tomorrow, where
// absence proves nothing. It then does what an order with an Instance asks for at
// that instance, or returns an error and does nothing.
type Locator interface {
	// Instance returns what is the same for as long as access made there exists
	// there, whatever the way to it: never an address. It may be remembered.
	Instance(ctx context.Context) (string, error)
}

// A Driver opens the connectors of one kind of system.
type Driver interface {
	Manifest() Manifest

	// Check says what is wrong with an entitlement's grant section before
	// anybody can ask for it. It does not reach the target.
	Check(grant json.RawMessage, kind Kind) error

	// Open returns the connector of a target with this configuration. Unknown
	// fields are refused. It need not reach the target: a target that is down
	// must not stop the server.
	Open(ctx context.Context, config json.RawMessage, env Env) (Connector, error)
}

// Env is what a connector gets from the server around it.
type Env struct {
	Target string                           // name of the target
	Secret func(ref string) (Secret, error) // resolves "env:NAME" or "file:/path" of a configuration
}

// A Manifest says what a kind of system can do.
type Manifest struct {
	Name         string `json:"name"`         // as written in a target document: "postgres"
	Summary      string `json:"summary"`      // one line for people
	Kinds        []Kind `json:"kinds"`        // credential kinds it can issue
	SelfExpiring bool   `json:"selfExpiring"` // the target itself ends access at Order.Until
	Readable     bool   `json:"readable"`     // Observe really reads the target
	ListsAll     bool   `json:"listsAll"`     // List also finds access that Writ did not make
	EndsOpen     bool   `json:"endsOpen"`     // Revoke also ends sessions that are already open
}

// A Kind is a kind of credential.
type Kind string

// The kinds of credential. Membership issues nothing: it gives access to an
// account that exists, so grants of it to one account can overlap. Target, Grant
// and Scope of an order say all of which access it is, the account included; who
// the subject is makes no difference.
const (
	Membership  Kind = "membership"
	Password    Kind = "password"
	APIKey      Kind = "api-key"
	AccessToken Kind = "access-token"    // signed JWT, RFC 9068
	Certificate Kind = "certificate"     // X.509 client certificate from a CSR
	SSHCert     Kind = "ssh-certificate" // OpenSSH user certificate
)

// Shared reports whether two requests can hold the very same access, so that
// only the end of the last one may remove it.
func (k Kind) Shared() bool { return k == Membership }

// An Order is what a verified writ asks for at one target. All times are UTC.
type Order struct {
	Request     string            // id of the request; external names derive from it
	Serial      string            // serial of the writ
	Subject     string            // name of the identity the access is for
	SubjectUID  string            // its immutable id
	Entitlement string            // name of the entitlement
	Environment string            // of the target: "production", …
	Kind        Kind              // of the credential to issue
	Grant       json.RawMessage   // the entitlement's grant section
	Scope       map[string]string // the approved scope parameters
	PublicKey   string            // what a certificate is to be issued for: PEM CSR or OpenSSH public key
	Instance    string            // where it must be done, in the words of a Locator; nothing to any other; empty: wherever
	From        time.Time
	Until       time.Time // absolute: nothing may outlive it
}

// A Receipt is what a Grant did. It is kept in the ledger, all but Credential.
type Receipt struct {
	External    string            `json:"external"`              // name of the access in the target
	Fingerprint string            `json:"fingerprint,omitempty"` // of the credential, safe to show
	Detail      map[string]string `json:"detail,omitempty"`      // what else Revoke needs or people want to see; never secret
	Credential  *Credential       `json:"-"`                     // nil where the kind issues none
}

// A Credential is the material issued. It is handed on sealed or once, and
// never stored readable.
type Credential struct {
	Kind  Kind              `json:"kind"`
	Env   map[string]Secret `json:"env"`             // as a process wants it: PGUSER, PGPASSWORD, …
	Files map[string]Secret `json:"files,omitempty"` // file name to content, for certificates
	Until time.Time         `json:"until"`
}

// An Observation is what a target really showed, and a State whether access was seen.
type (
	Observation = writ.Observation
	State       = writ.State
)

// The states of an observation.
const (
	Present = writ.Present
	Absent  = writ.Absent
	Unread  = writ.Unread
)

// ErrRefused marks an error that trying again will not mend: the target is up
// and says no. Wrap it: fmt.Errorf("postgres: role %q does not exist: …: %w", …, ErrRefused).
var ErrRefused = errors.New("refused by the target")
