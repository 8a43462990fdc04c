package keyring

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
)

// Split moves the keys that make access to a file of their own: the key of
// writs and those of the built-in issuer. What stays can serve, and opens
// credentials that are claimed; what moves can grant, and seals them. Both can
// sign the log. A split that was interrupted is finished by the next one; a file
// that is there for any other reason is never written over.
func Split(path, out string) error {
	whole, err := read(path)
	if err != nil {
		return err
	}
	k, err := whole.keys(path)
	if err != nil {
		return err
	}
	if !k.Grants() || !k.Serves() {
		return fmt.Errorf("key file %s is one part of a split file already", path)
	}
	moves := file{V: whole.V, Origin: whole.Origin, Log: whole.Log, Writ: whole.Writ, Issuer: whole.Issuer, Recipient: k.Recipient.String()}
	stays := whole
	stays.Writ, stays.Issuer, stays.WritKey = nil, "", k.Writ.Public().(ed25519.PublicKey)
	err = place(out, moves, os.Link)
	if errors.Is(err, fs.ErrExist) {
		if have, again := read(out); again != nil || !reflect.DeepEqual(have, moves) {
			return fmt.Errorf("%s is there already and holds something else; name another file", out)
		}
	} else if err != nil {
		return err
	}
	return place(path, stays, os.Rename) // only now is the key of writs gone from there
}
