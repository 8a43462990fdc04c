package seal

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
)

// TestOnlyTheRecipientOpens seals to one key and tries it with two.
func TestOnlyTheRecipientOpens(t *testing.T) {
	holder, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	until := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	c := &connector.Credential{Kind: connector.Password, Env: map[string]connector.Secret{"PGPASSWORD": connector.Conceal("canary")}, Until: until}
	sealed, err := Seal(c, holder.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("canary")) {
		t.Fatal("the sealed form can be read")
	}
	got, err := Open(sealed, holder)
	if err != nil || got.Env["PGPASSWORD"] != "canary" || !got.Until.Equal(until) {
		t.Fatalf("got %v, %v", got.Until, err)
	}
	if _, err := Open(sealed, other); err == nil {
		t.Fatal("a stranger opened it")
	}
}

// TestBadRecipient refuses what is no recipient without repeating all of it.
func TestBadRecipient(t *testing.T) {
	if _, err := Parse("ssh-ed25519 AAAA"); !errors.Is(err, writ.Invalid) {
		t.Fatalf("got %v", err)
	}
}
