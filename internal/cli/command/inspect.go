package command

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writhq/writ"
	"github.com/writhq/writ/evidence"
)

// An inspected is a writ and what was found of it.
type inspected struct {
	Signed bool       `json:"signed"` // by the key that was given
	Sound  bool       `json:"sound"`  // it does not contradict itself
	Why    string     `json:"why,omitempty"`
	Writ   writ.Order `json:"writ"`
}

func (s session) inspectCmd() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Explain a signed writ in words",
		Long: `Explain a signed writ, as 'writ show --writ' prints it: who may have what, from
when until when, who approved exactly these terms, and with what. It needs no
server. With --key, the key of writs that the ledger's first event names, the
signature is checked; without it only that the writ does not contradict itself.

A writ says what was authorized. Whether it was granted, and is gone again, says
the evidence of the request: 'writ evidence'.`,
		Example: "  writ show req-01k8z3k4m5n6p7q8r9s0t1v2w3 --writ | writ inspect -\n  writ inspect writ.jws --key 'MCowBQ…'",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			jws, err := s.readWrit(args[0])
			if err != nil {
				return err
			}
			return s.inspect(jws, key)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "base64 Ed25519 public `KEY` of writs, from elsewhere than the writ")
	return cmd
}

func (s session) readWrit(path string) (string, error) {
	from := io.Reader(s.In)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", writ.Errorf(writ.Invalid, "%v", err)
		}
		defer f.Close()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, 1<<20))
	return strings.TrimSpace(string(data)), err
}

func (s session) inspect(jws, key string) error {
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return writ.Errorf(writ.Invalid, "this is no signed writ; 'writ show ID --writ' prints one")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var found inspected
	if err == nil {
		err = json.Unmarshal(payload, &found.Writ)
	}
	if err != nil || found.Writ.V != 1 {
		return writ.Errorf(writ.Invalid, "this is no writ of version 1: %v", err)
	}
	if key != "" {
		public, err := base64.StdEncoding.DecodeString(key)
		if err != nil || len(public) != ed25519.PublicKeySize {
			return writ.Errorf(writ.Invalid, "--key %q is no base64 Ed25519 public key", key)
		}
		if _, err := evidence.Signed(jws, evidence.WritType, public); err != nil {
			return err
		}
		found.Signed = true
	}
	err = found.Writ.Sound()
	if found.Sound = err == nil; err != nil {
		found.Why = err.Error()
	}
	if s.Machine() {
		if e := s.Encode(found); e != nil {
			return e
		}
		return err
	}
	terms, e := found.Writ.Terms.Canonical()
	if e == nil {
		e = s.Out.Writ(found.Writ, terms, found.Signed)
	}
	if e != nil {
		return e
	}
	return err
}
