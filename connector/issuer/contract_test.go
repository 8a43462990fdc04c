package issuer

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ/connector"
	"github.com/writhq/writ/connector/connectortest"
	"github.com/writhq/writ/internal/realtest"
)

func TestContractOnSQLite(t *testing.T) {
	var i *Issuer
	connectortest.Run(t, connectortest.Harness{
		Driver: driverOf(func() *Issuer { return i }),
		Target: func(t testing.TB) connectortest.Target {
			db := sqliteDB(t)
			i, _ = open(t, Config{DB: db, Sole: true})
			return harness(t, db, i)
		},
		Public: []string{"ca.crt"},
		Life:   1500 * time.Millisecond,
	})
}

// On PostgreSQL every grant, revocation and reading is struck by each fault of
// the network at each message between the authority and its database.
func TestContractOnPostgres(t *testing.T) {
	dsn := realtest.Database(t) // one for all checks: making it takes longer than most of them
	connectortest.Run(t, connectortest.Harness{
		Driver: remoteDriver{t: t},
		Target: func(t testing.TB) connectortest.Target {
			db := openPostgres(t, dsn)
			if _, err := db.ExecContext(t.Context(), `DROP TABLE IF EXISTS issuer_clock, issuer_credential`); err != nil {
				t.Fatal(err)
			}
			i, _ := open(t, Config{DB: db, poll: 5 * time.Millisecond}) // who verifies is another process than who grants
			target := harness(t, db, i)
			parsed, err := pgx.ParseConfig(dsn)
			if err != nil {
				t.Fatal(err)
			}
			target.Addr = net.JoinHostPort(parsed.Host, strconv.Itoa(int(parsed.Port)))
			target.Config = func(addr string) json.RawMessage {
				return json.RawMessage(fmt.Sprintf(`{"dsn":%q,"addr":%q}`, dsn, addr))
			}
			return target
		},
		Public: []string{"ca.crt"},
		Life:   1500 * time.Millisecond,
		Lag:    2 * trustFor,
	})
}

// driverOf is the real driver of whichever Issuer the running check uses.
type driverOf func() *Issuer

func (driverOf) Manifest() connector.Manifest { return Driver{}.Manifest() }

func (driverOf) Check(g json.RawMessage, k connector.Kind) error { return Driver{}.Check(g, k) }

func (d driverOf) Open(ctx context.Context, config json.RawMessage, env connector.Env) (connector.Connector, error) {
	return Driver{d()}.Open(ctx, config, env)
}

// remoteDriver opens an Issuer for each connector, as each process would. It
// reaches its database directly to open it, and through addr from then on.
type remoteDriver struct{ t *testing.T }

// API keys stand for all kinds: what is stored, and how, is the same.
func (remoteDriver) Manifest() connector.Manifest {
	m := Driver{}.Manifest()
	m.Kinds = []connector.Kind{connector.APIKey}
	return m
}

func (remoteDriver) Check(g json.RawMessage, k connector.Kind) error { return Driver{}.Check(g, k) }

func (d remoteDriver) Open(ctx context.Context, config json.RawMessage, env connector.Env) (connector.Connector, error) {
	var c struct{ DSN, Addr string }
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil || decoder.More() {
		return nil, fmt.Errorf("%s: %w", config, errors.Join(err, connector.ErrRefused))
	}
	parsed, err := pgx.ParseConfig(c.DSN)
	if err != nil {
		return nil, err
	}
	parsed.DefaultQueryExecMode = pgx.QueryExecModeExec // the fewest messages, so the fewest faults to wait for
	direct := *parsed
	db := openThrough(parsed, c.Addr)
	i, err := Open(ctx, Config{DB: db, Keys: testKeys(), URL: testURL, Sole: true}) // Sole: its polls would be messages too
	if err != nil {                                                                 // the network is down: a server that runs would have opened it before
		db = stdlib.OpenDB(direct)
		if i, err = Open(ctx, Config{DB: db, Keys: testKeys(), URL: testURL, Sole: true}); err != nil {
			return nil, err
		}
		_ = db.Close()
		i.cfg.DB = openThrough(parsed, c.Addr)
		db = i.cfg.DB
	}
	target, err := Driver{i}.Open(ctx, json.RawMessage(`{}`), env)
	return ownTarget{target, i, db}, err
}

func openThrough(parsed *pgx.ConnConfig, addr string) *sql.DB {
	parsed.DialFunc = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	return stdlib.OpenDB(*parsed)
}

type ownTarget struct {
	connector.Connector
	issuer *Issuer
	db     *sql.DB
}

func (o ownTarget) Instance(ctx context.Context) (string, error) {
	return o.Connector.(connector.Locator).Instance(ctx)
}

func (o ownTarget) Close() error {
	_ = o.issuer.Close() // last uses are lost where the database is cut off
	return o.db.Close()
}

// harness lets the suite look at the database of i, and use what it issues.
func harness(t testing.TB, db *sql.DB, i *Issuer) connectortest.Target {
	server := httptest.NewServer(i.Handler())
	t.Cleanup(server.Close)
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	set := func(column, value string) func(connector.Order, connector.Receipt) bool {
		return func(o connector.Order, _ connector.Receipt) bool {
			exec(`UPDATE issuer_credential SET `+column+` = `+value+` WHERE request = $1`, o.Request)
			return true
		}
	}
	return connectortest.Target{
		Config: func(string) json.RawMessage { return json.RawMessage(`{}`) },
		Order: func(request string, kind connector.Kind) connector.Order {
			o := order(t, request, kind, time.Now())
			o.From, o.Until = time.Time{}, time.Time{}
			return o
		},
		Works: func(ctx context.Context, o connector.Order, c *connector.Credential) error {
			return works(ctx, db, server.URL, o, c)
		},
		Count: func() (n int) {
			err := db.QueryRow(`SELECT count(*) FROM issuer_credential WHERE ended = 0 AND until > $1`, time.Now().UnixMicro()).Scan(&n)
			if err != nil {
				t.Fatal(err)
			}
			return n
		},
		Foreign: func() string {
			r := row{id: "byhand0001", kind: connector.APIKey, subject: "mallory", until: micros(time.Now().Add(time.Hour)), changed: 1 << 40}
			err := transact(t.Context(), db, func(tx *sql.Tx) error { return insert(t.Context(), tx, &r) })
			if err != nil {
				t.Fatal(err)
			}
			return r.id
		},
		Alter: map[string]func(connector.Order, connector.Receipt) bool{
			"lives longer":        set("until", "until + 3600000000"),
			"begins earlier":      set("starts", "starts - 1"),
			"another subject":     set("subject", "'root'"),
			"a recreated subject": set("uid", "'uid-8'"),
			"another target":      set("target", "'other'"),
			"another writ":        set("writ", "'writ-2'"),
			"another entitlement": set("entitlement", "'everything'"),
			"another environment": set("environment", "'test'"),
			"another kind":        set("kind", "'password'"),
			"more scope":          set("scope", "'{}'"),
			"more grant":          set("section", `'{"scopes":["admin"],"principals":["root"]}'`),
			"another public key":  set("pubkey", "'SHA256:other'"),
			"another credential":  set("fingerprint", "'SHA256:other'"),
		},
		Refuse: func(kind connector.Kind) map[string]connector.Order { return refusals(t, kind) },
	}
}

func works(ctx context.Context, db *sql.DB, url string, o connector.Order, c *connector.Credential) error {
	switch c.Kind {
	case connector.APIKey:
		return accepted(ctx, url, c.Env["WRIT_API_KEY"].Reveal(), o)
	case connector.AccessToken:
		return accepted(ctx, url, c.Env["WRIT_ACCESS_TOKEN"].Reveal(), o)
	case connector.Certificate:
		serial, err := handshake(c, nil)
		return errors.Join(err, recorded(ctx, db, serial))
	case connector.SSHCert:
		serial, err := sshLogin(c, "deploy")
		return errors.Join(err, recorded(ctx, db, serial))
	}
	return fmt.Errorf("kind %q", c.Kind)
}

// accepted is what a protected service does.
func accepted(ctx context.Context, url, token string, o connector.Order) error {
	body, err := json.Marshal(map[string]any{"token": token, "scope": o.Scope, "audience": "billing-api"})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, "POST", url+"/verify", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Caller", "gateway")
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	var said verification
	if err := json.NewDecoder(reply.Body).Decode(&said); err != nil {
		return err
	}
	if !said.Active || said.Subject != o.Subject || said.Request != o.Request {
		return fmt.Errorf("%s: %+v", reply.Status, said)
	}
	return nil
}

// recorded says whether the authority stands by a certificate: offline it cannot
// be asked, and its end must be seen where it is kept.
func recorded(ctx context.Context, db *sql.DB, serial string) error {
	var ended int64
	err := db.QueryRowContext(ctx, `SELECT ended FROM issuer_credential WHERE id = $1`, serial).Scan(&ended)
	if err == nil && ended != 0 {
		err = errors.New("the certificate is ended")
	}
	return err
}

// handshake uses a certificate in a real TLS handshake with a server that trusts
// the authority, and returns its serial. See, if any, looks at the certificate.
func handshake(c *connector.Credential, see func(*x509.Certificate)) (serial string, err error) {
	block, _ := pem.Decode([]byte(c.Files["client.crt"].Reveal()))
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(c.Files["ca.crt"].Reveal())) {
		return "", errors.New("no authority")
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer := r.TLS.PeerCertificates[0]
		if see != nil {
			see(peer)
		}
		fmt.Fprint(w, hex.EncodeToString(peer.SerialNumber.Bytes()))
	}))
	server.Config.ErrorLog = quiet
	server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS13}
	server.StartTLS()
	defer server.Close()
	client := server.Client()
	client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{block.Bytes}, PrivateKey: clientKey}}
	reply, err := client.Get(server.URL)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(reply.Body)
	return b.String(), err
}

// sshLogin logs in with a certificate to an SSH server that trusts the authority.
func sshLogin(c *connector.Credential, user string) (serial string, err error) {
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(c.Files["id-cert.pub"].Reveal()))
	if err != nil {
		return "", err
	}
	cert := public.(*ssh.Certificate)
	signer, err := ssh.NewCertSigner(cert, sshKey())
	if err != nil {
		return "", err
	}
	ca, err := ssh.NewSignerFromSigner(testKeys().SSH)
	if err != nil {
		return "", err
	}
	checker := &ssh.CertChecker{
		IsUserAuthority: func(key ssh.PublicKey) bool { return bytes.Equal(key.Marshal(), ca.PublicKey().Marshal()) },
	}
	config := &ssh.ServerConfig{PublicKeyCallback: checker.Authenticate}
	config.AddHostKey(sshKey())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	go func() {
		far, err := listener.Accept()
		if err != nil {
			return
		}
		defer far.Close()
		if conn, _, _, err := ssh.NewServerConn(far, config); err == nil {
			_ = conn.Wait()
		}
	}()
	conn, err := ssh.Dial("tcp", listener.Addr().String(), &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(sshKey().PublicKey()),
	})
	if err != nil {
		return "", err
	}
	return strconv.FormatUint(cert.Serial, 10), conn.Close()
}
