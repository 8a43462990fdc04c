package worker

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/writhq/writ"
)

// The company that the tests of this package are about: Ann owns machines and
// works for Meg, Sue and Sid are security, Pat administers, Leo owns one machine.
const (
	ann = writ.Ref("human/ann")
	meg = writ.Ref("human/meg")
	sue = writ.Ref("human/sue")
	sid = writ.Ref("human/sid")
	pat = writ.Ref("human/pat")
	leo = writ.Ref("human/leo")
	own = writ.Ref("service/leos")
)

// machines is how many services ask for access, and accounts how many accounts
// of the PostgreSQL target become members.
const (
	machines = 20
	accounts = 12
)

func machine(n int) writ.Ref { return writ.Ref(fmt.Sprintf("service/ci-%02d", n%machines)) }

func account(n int) string { return fmt.Sprintf("account-%02d", n%accounts) }

// What can be asked for. The first of each target is given without asking
// anybody, the second after a manager and security said yes.
const (
	someKey     = "keys/read"
	stagedKey   = "keys/deploy"
	someToken   = "keys/token"
	someLogin   = "orders/read"
	stagedLogin = "orders/deploy"
)

// membership is the entitlement by which an account becomes a member of deploy.
func membership(n int) string { return "orders/" + account(n) }

const twoStages = `kind: policy
name: default
authority: {administer: [group/platform], revoke: [group/security], audit: [group/security]}
routes:
  - name: staged
    when: entitlement.labels["way"] == "staged"
    decideIn: 72h
    stages:
      - {name: manager, approvers: [{manager-of: requester}]}
      - {name: security, approvers: [{group: security}]}
  - name: automatic
    when: entitlement.labels["way"] == "automatic"
    automatic: true
`

// documents describe the company.
func documents(target string) []json.RawMessage {
	docs := []writ.Document{
		identity(meg, ""), identity(sue, ""), identity(sid, ""), identity(pat, ""),
		with(identity(ann, ""), func(i *writ.Identity) { i.Manager = meg }),
		with(identity(leo, ""), func(i *writ.Identity) { i.Manager = meg }),
		identity(own, leo),
		writ.Group{Header: writ.Header{Kind: "group", Name: "security"}, Members: []writ.Ref{sue, sid}},
		writ.Group{Header: writ.Header{Kind: "group", Name: "platform"}, Members: []writ.Ref{pat}},
		policyDocument(twoStages),
		targetDocument("keys", "issuer", `{"audience":"keys"}`),
		entitlement(someKey, "api-key", "automatic", `{"scopes":["read"]}`),
		entitlement(stagedKey, "api-key", "staged", `{"scopes":["deploy"]}`),
		entitlement(someToken, "access-token", "automatic", `{"scopes":["read"]}`),
	}
	for n := range machines {
		docs = append(docs, identity(machine(n), ann))
	}
	if target != "" {
		docs = append(docs, targetDocument("orders", "postgres", ordersConfig(target)),
			entitlement(someLogin, "password", "automatic", `{"role":"reader"}`),
			entitlement(stagedLogin, "password", "staged", `{"role":"deploy"}`))
		for n := range accounts {
			docs = append(docs, entitlement(membership(n), "membership", "automatic", `{"role":"deploy","member":"`+account(n)+`"}`))
		}
	}
	return encoded(docs...)
}

func ordersConfig(target string) string {
	return fmt.Sprintf(`{"dsn":%q,"passwordFrom":"env:ORDERS"}`, target)
}

func encoded(docs ...writ.Document) (out []json.RawMessage) {
	for _, doc := range docs {
		data, err := json.Marshal(doc)
		if err != nil {
			panic(err) // they are made of text
		}
		out = append(out, data)
	}
	return out
}

func identity(name, owner writ.Ref) writ.Identity {
	return writ.Identity{Header: writ.Header{Kind: "identity", Name: string(name)}, Owner: owner}
}

func with[D any](doc D, change func(*D)) D {
	change(&doc)
	return doc
}

func policyDocument(source string) writ.Policy {
	return writ.Policy{Header: writ.Header{Kind: "policy", Name: "default"}, Source: source}
}

func targetDocument(name, connector, config string) writ.Target {
	return writ.Target{Header: writ.Header{Kind: "target", Name: name}, Connector: connector, Environment: "production", Config: json.RawMessage(config)}
}

func entitlement(name, credential, way, grant string) writ.Entitlement {
	e := writ.Entitlement{
		Header: writ.Header{Kind: "entitlement", Name: name}, Credential: credential, Grant: json.RawMessage(grant),
		MaxFor: writ.Of(30 * 24 * time.Hour), Labels: map[string]string{"way": way},
	}
	for i, c := range name {
		if c == '/' {
			e.Target = name[:i]
		}
	}
	return e
}
