package approver

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/assent"
	"github.com/writhq/writ/client"
	"github.com/writhq/writ/internal/cli/approver/sign"
)

// evidence signs a yes to the terms with this digest, which were shown: with the
// key of a file or, if the open stage wants a signature and no file is named,
// with the one enrolled key that ssh-agent holds. It is nothing where nothing is
// wanted.
func (s session) evidence(ctx context.Context, c *client.Client, d client.Dossier, digest writ.Digest, file string) (e writ.Evidence, err error) {
	stage, open := d.Open(d.Asked())
	wanted := open && d.Status == writ.StatusPending && !writ.BySession.Meets(stage.Proof)
	if file == "" && !wanted {
		return writ.Evidence{}, nil
	}
	if file == "" && !writ.BySSH.Meets(stage.Proof) {
		return writ.Evidence{}, writ.Errorf(writ.Forbidden, "stage %s of %s wants an approval by %s; open the request in the browser", stage.Name, d.ID, stage.Proof)
	}
	given, err := c.Challenge(ctx, d.ID)
	if err != nil {
		return writ.Evidence{}, err
	}
	challenge, err := writ.Challenge(given.Nonce, digest, writ.Yes) // made here, of what was shown
	if err != nil {
		return writ.Evidence{}, err
	}
	signer, key, err := s.signer(ctx, c, given, file)
	if err != nil {
		return writ.Evidence{}, err
	}
	defer func() { err = errors.Join(err, signer.Close()) }()
	proof, err := s.sign(signer, assent.ApprovalNamespace, challenge)
	return writ.Evidence{Method: writ.BySSH, Nonce: given.Nonce, Key: key.Name, KeyUID: key.UID, Proof: proof}, err
}

// signer returns the key to sign with, and as what it is enrolled.
func (s session) signer(ctx context.Context, c *client.Client, given client.Challenge, file string) (*sign.Signer, writ.Key, error) {
	if file == "" {
		return s.onlyHeld(given)
	}
	signer, err := sign.Open(file, s.passphrase(ctx))
	if err != nil {
		return nil, writ.Key{}, err
	}
	mine, err := c.Keys(ctx)
	if err == nil {
		i := slices.IndexFunc(mine, func(k writ.Key) bool { return k.Name == signer.Name })
		if i >= 0 {
			return signer, mine[i], nil
		}
		err = writ.Errorf(writ.Forbidden, "%s is not enrolled as a key of yours; enrol it with 'writ key add --ssh %s'", signer.Name, file)
	}
	return nil, writ.Key{}, errors.Join(err, signer.Close())
}

// onlyHeld returns the one key in ssh-agent that counts.
func (s session) onlyHeld(given client.Challenge) (*sign.Signer, writ.Key, error) {
	counting := slices.DeleteFunc(given.Keys, func(k writ.Key) bool { return k.Method != writ.BySSH })
	no := func(what, then string) (*sign.Signer, writ.Key, error) {
		return nil, writ.Key{}, writ.Errorf(writ.Forbidden, "stage %s wants an approval by %s, and %s; %s", given.Stage, given.Method, what, then)
	}
	if len(counting) == 0 {
		return no("you have no key that counts for it now", "enrol one with 'writ key add --ssh FILE', or see 'writ key list'")
	}
	held, err := sign.Held(counting)
	if err != nil {
		return nil, writ.Key{}, err
	}
	if len(held) == 1 {
		i := slices.IndexFunc(counting, func(k writ.Key) bool { return k.Name == held[0].Name })
		s.Err.Say("signing with key %s, which ssh-agent holds", held[0].Name)
		return held[0], counting[i], nil
	}
	var names []string
	for _, k := range counting {
		names = append(names, k.Name+" "+k.Title)
	}
	number := "none"
	if len(held) > 1 {
		number = "more than one"
		_ = held[0].Close() // nothing was asked of it
	}
	return no("ssh-agent holds "+number+" of your keys: "+strings.Join(names, ", "), "say which with --ssh-key FILE")
}
