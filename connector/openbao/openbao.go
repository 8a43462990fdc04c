// Package openbao gives access to what OpenBao, or HashiCorp Vault, guards, in two
// kinds:
//
// An api-key is a token made for one request, with the entitled policies, that
// cannot be renewed. A membership gives an identity entity that exists the
// entitled policies.
//
// It speaks the HTTP API that both servers share, version 1.
package openbao

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/openbao/rest"
)

// Driver opens connectors to OpenBao and Vault servers.
type Driver struct{}

// Manifest says what the server can do. It ends tokens by itself; it knows no end
// of a membership, whose Observation.Until is zero.
func (Driver) Manifest() connector.Manifest {
	return connector.Manifest{
		Name:         "openbao",
		Summary:      "OpenBao or Vault: a token for each grant, or policies for an entity",
		Kinds:        []connector.Kind{connector.APIKey, connector.Membership},
		SelfExpiring: true,
		Readable:     true,
		ListsAll:     true,
		EndsOpen:     true,
	}
}

// A config is the configuration of one target.
type config struct {
	Address       string `json:"address"`       // "https://bao.internal:8200"; http only on loopback
	HolderAddress string `json:"holderAddress"` // where holders connect, if not where Writ does
	CAFile        string `json:"caFile"`        // PEM certificates that vouch for the server; empty: those of the system
	Namespace     string `json:"namespace"`     // empty: the root namespace

	// Writ's own account: a token, or an AppRole.
	TokenFrom    string `json:"tokenFrom"` // "env:NAME" or "file:/path", read for each call
	RoleID       string `json:"roleId"`
	SecretIDFrom string `json:"secretIdFrom"` // likewise, read for each login
	LoginMount   string `json:"loginMount"`   // of the AppRole; empty: "approle"
}

func (c config) check() error {
	for name, address := range map[string]string{"address": c.Address, "holderAddress": c.HolderAddress} {
		if err := checkAddress(address); err != nil && (address != "" || name == "address") {
			return fmt.Errorf("%s %w", name, err)
		}
	}
	switch {
	case c.TokenFrom == "" && c.RoleID == "":
		return errors.New("it says not who Writ is there: tokenFrom, or roleId and secretIdFrom")
	case c.TokenFrom != "" && (c.RoleID != "" || c.SecretIDFrom != "" || c.LoginMount != ""):
		return errors.New("tokenFrom and an AppRole (roleId, secretIdFrom, loginMount) exclude each other")
	case c.RoleID != "" && c.SecretIDFrom == "":
		return errors.New("secretIdFrom is missing: env:NAME or file:/path of the AppRole's secret id")
	case c.LoginMount != "" && !plainPath.MatchString(c.LoginMount):
		return fmt.Errorf("loginMount %q is no path", c.LoginMount)
	case strings.ContainsAny(c.Namespace, "\r\n"):
		return errors.New("namespace holds a line break")
	}
	return nil
}

// checkAddress refuses what is no address, or would send tokens readable. The
// text may hold a password: it is not repeated.
func checkAddress(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("is no URL such as https://bao.internal:8200")
	case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("is more than scheme, host and port")
	case u.Scheme == "http" && u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback():
		return errors.New("would send tokens in the clear; begin it with https")
	}
	return nil
}

// Open returns the connector of one server. It does not connect yet.
func (Driver) Open(_ context.Context, data json.RawMessage, env connector.Env) (connector.Connector, error) {
	var c config
	if err := decode(data, &c); err != nil {
		return nil, fmt.Errorf("openbao: configuration of target %s: %w", env.Target, err)
	}
	err := c.check()
	var to *rest.Client
	if err == nil {
		to, err = rest.New(c.Address, c.CAFile, c.Namespace)
	}
	for _, ref := range []string{c.TokenFrom, c.SecretIDFrom} {
		if err == nil && ref != "" {
			_, err = env.Secret(ref)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("openbao: configuration of target %s: %w", env.Target, err)
	}
	holders := c.Address
	if c.HolderAddress != "" {
		holders = c.HolderAddress
	}
	me := rest.NewAccount(to, rest.Login{TokenFrom: c.TokenFrom, RoleID: c.RoleID, SecretIDFrom: c.SecretIDFrom, Mount: c.LoginMount}, env.Secret)
	return &server{client: to, me: me, namespace: c.Namespace, holders: strings.TrimSuffix(holders, "/")}, nil
}

// A server is one cluster that Writ has an account on.
type server struct {
	client    *rest.Client
	me        *rest.Account
	namespace string
	holders   string // the address they use
}

// Close ends Writ's own login and closes the connections.
func (s *server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	s.me.Leave(ctx)
	s.client.Close()
	return nil
}

// decode reads exactly one object with no field that v does not have.
func decode(data json.RawMessage, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more after the object")
	}
	return nil
}

// refuse makes an error that another try will not mend.
func refuse(format string, args ...any) error {
	return fmt.Errorf("openbao: "+format+": %w", append(args, connector.ErrRefused)...)
}

// fault makes an error out of what went wrong during what was being done.
func fault(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("openbao: %s: %w", doing, ctx.Err())
	}
	return fmt.Errorf("openbao: %s: %w", doing, err)
}
