package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ/connector"
)

var quiet = log.New(io.Discard, "", 0)

// refusals are orders that can never be carried out.
func refusals(t testing.TB, kind connector.Kind) map[string]connector.Order {
	t.Helper()
	with := func(change func(*connector.Order)) connector.Order {
		o := order(t, "req-refused", kind, time.Now())
		change(&o)
		return o
	}
	grant := func(text string) connector.Order {
		return with(func(o *connector.Order) { o.Grant = json.RawMessage(text) })
	}
	key := func(text string) connector.Order {
		return with(func(o *connector.Order) { o.PublicKey = text })
	}
	orders := map[string]connector.Order{
		"no subject": with(func(o *connector.Order) { o.Subject = "" }),
		"null grant": grant(`null`),
	}
	switch kind {
	case connector.AccessToken:
		orders["no audience"] = grant(`{"scopes":["read"]}`)
		orders["too large"] = grant(`{"audience":"a","scopes":["` + strings.Repeat("x", 9000) + `"]}`)
		fallthrough
	case connector.APIKey:
		orders["a scope with a blank"] = grant(`{"audience":"a","scopes":["read write"]}`)
		orders["a scope twice"] = grant(`{"audience":"a","scopes":["read","read"]}`)
		orders["principals"] = grant(`{"audience":"a","principals":["root"]}`)
		orders["an empty verifier"] = grant(`{"audience":"a","verifiers":[""]}`)
	case connector.Certificate:
		csr := csrOf(t, clientKey)
		p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		orders["an audience"] = grant(`{"audience":"a"}`)
		orders["no csr"] = key("")
		orders["not a csr"] = key(string(ssh.MarshalAuthorizedKey(sshKey().PublicKey())))
		orders["two csrs"] = key(csr + csr)
		orders["a csr signed by another key"] = key(forged(t, csr))
		orders["a weak curve"] = key(csrOf(t, p224))
		orders["weak rsa"] = key(csrOf(t, weakRSA(t)))
		orders["a long name"] = with(func(o *connector.Order) { o.Subject = strings.Repeat("x", 65) })
	case connector.SSHCert:
		weak, err := ssh.NewPublicKey(weakRSA(t).Public())
		if err != nil {
			t.Fatal(err)
		}
		line := string(ssh.MarshalAuthorizedKey(sshKey().PublicKey()))
		orders["no principals"] = grant(`{"principals":[]}`)
		orders["a principal with a comma"] = grant(`{"principals":["a,root"]}`)
		orders["an unknown extension"] = grant(`{"principals":["a"],"extensions":["permit-all"]}`)
		orders["not a range"] = grant(`{"principals":["a"],"sourceAddress":["10.0.0.1/8"]}`)
		orders["two commands"] = grant(`{"principals":["a"],"forceCommand":"true\nsh"}`)
		orders["no key"] = key("")
		orders["a key with options"] = key(`command="sh" ` + line)
		orders["two keys"] = key(line + line)
		orders["a weak key"] = key(string(ssh.MarshalAuthorizedKey(weak)))
	}
	return orders
}

func weakRSA(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0") // the library would not even make one
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// forged returns the csr with one bit of its signature flipped.
func forged(t testing.TB, csr string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(csr))
	block.Bytes[len(block.Bytes)-1] ^= 1
	return string(pem.EncodeToMemory(block))
}
