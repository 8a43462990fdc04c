package web

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/writhq/writ/assent"
)

// signed asks for a challenge and signs it; it returns the nonce and the proof
// as the API takes them.
func (w *world) signed(as, path, body, namespace string, key ssh.Signer) (nonce, proof string) {
	w.Helper()
	status, _, c := w.call(as, "POST", path, body)
	if status != 200 {
		w.Fatalf("%s: %d %v", path, status, c)
	}
	message, err := base64.RawURLEncoding.DecodeString(c["challenge"].(string))
	if err != nil {
		w.Fatal(err)
	}
	p, err := assent.SignSSH(rand.Reader, key, namespace, message)
	if err != nil {
		w.Fatal(err)
	}
	return c["nonce"].(string), string(p)
}

// TestSignedApprovalIsRepeatable: a client that lost the answer sends the same
// call again, although its nonce is used up; with another key it cannot.
func TestSignedApprovalIsRepeatable(t *testing.T) {
	w := newWorld(t)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	public, err := json.Marshal(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
	if err != nil {
		t.Fatal(err)
	}
	nonce, proof := w.signed("human/max", "/v1/keys/challenge", "", assent.EnrolNamespace, key)
	enrolment := `{"method":"ssh","title":"laptop","public":` + string(public) + `,"nonce":"` + nonce + `","proof":` + proof + `}`
	status, _, k := w.call("human/max", "POST", "/v1/keys", enrolment, "Idempotency-Key", "k1")
	if status != 201 || k["title"] != "laptop" || k["identity"] != "human/max" {
		t.Fatalf("%d %v", status, k)
	}
	if status, _, again := w.call("human/max", "POST", "/v1/keys", enrolment, "Idempotency-Key", "k1"); status != 201 || again["uid"] != k["uid"] {
		t.Errorf("repeated: %d %v", status, again)
	}

	_, header, r := w.call("human/ann", "POST", "/v1/requests", deploy)
	path := header.Get("Location")
	nonce, proof = w.signed("human/max", path+"/challenge", "{}", assent.ApprovalNamespace, key)
	body := `{"evidence":{"method":"ssh","nonce":"` + nonce + `","key":"` + k["name"].(string) + `","keyUid":"` + k["uid"].(string) + `","proof":` + proof + `}}`
	approve := func(body, idempotency string) (int, map[string]any) {
		status, _, r := w.call("human/max", "POST", path+"/approve", body, "If-Match", header.Get("ETag"), "Idempotency-Key", idempotency)
		return status, r
	}
	for range 2 {
		if status, r = approve(body, "a1"); status != 200 || len(r["votes"].([]any)) != 1 {
			t.Fatalf("%d %v", status, r)
		}
	}
	if status, p := approve(`{"evidence":{"method":"session"}}`, "a1"); status != 409 {
		t.Errorf("the same key with another body: %d %v", status, p)
	}
	if status, p := approve("{}", ""); status != 403 || !strings.Contains(p["detail"].(string), "needs somebody else") {
		t.Errorf("a body without evidence is a yes by session: %d %v", status, p)
	}
	for name, body := range map[string]string{
		"no method":        `{"evidence":{"nonce":"AA=="}}`,
		"an unknown field": `{"evidence":{"method":"ssh","admin":true}}`,
		"no evidence":      `{"evidence":7}`,
	} {
		if status, p := approve(body, ""); status != 422 {
			t.Errorf("%s: %d %v", name, status, p)
		}
	}

	if status, _, keys := w.call("human/max", "DELETE", "/v1/keys/"+k["name"].(string), ""); status != 200 || len(keys["keys"].([]any)) > 0 {
		t.Errorf("%d %v", status, keys)
	}
	if status, _, p := w.call("human/max", "DELETE", "/v1/keys/"+k["name"].(string), ""); status != 404 || !strings.Contains(p["detail"].(string), "writ key list") {
		t.Errorf("taken away twice: %d %v", status, p)
	}
}
