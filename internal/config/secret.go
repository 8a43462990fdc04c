package config

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/writhq/writ"
	"github.com/writhq/writ/connector"
)

// secretPrefix is what an environment variable's name starts with if documents
// may refer to it: whoever may change documents must not be able to send any
// other of the server's secrets to a target of their choice.
const secretPrefix = "WRIT_SECRET_"

// Secret resolves a reference to a secret in a target's configuration:
// "env:WRIT_SECRET_NAME", or "file:NAME" in the directory for secrets.
func (c Config) Secret(ref string) (connector.Secret, error) {
	kind, name, _ := strings.Cut(ref, ":")
	switch {
	case kind == "env" && strings.HasPrefix(name, secretPrefix):
		value, ok := os.LookupEnv(name)
		if !ok {
			return connector.Secret{}, writ.Errorf(writ.Unavailable, "secret %s: the server's environment has no %s; set it and start the server again", ref, name)
		}
		return connector.Conceal(value), nil
	case kind == "file":
		return c.secretFile(ref, name)
	}
	return connector.Secret{}, writ.Errorf(writ.Invalid, "secret %q: write it as env:%sNAME or file:NAME, a file in the server's directory for secrets", ref, secretPrefix)
}

func (c Config) secretFile(ref, name string) (connector.Secret, error) {
	root, err := os.OpenRoot(c.Secrets) // nothing outside it can be reached
	if err != nil {
		return connector.Secret{}, writ.Errorf(writ.Unavailable, "secret %s: the directory for secrets, %s, cannot be opened; make it", ref, c.Secrets)
	}
	defer root.Close()
	data, err := fs.ReadFile(root.FS(), name)
	if errors.Is(err, fs.ErrNotExist) {
		return connector.Secret{}, writ.Errorf(writ.Unavailable, "secret %s: there is no file %s in %s; put it there", ref, name, c.Secrets)
	}
	if err != nil {
		return connector.Secret{}, writ.Errorf(writ.Unavailable, "secret %s: it cannot be read; it must be a file in %s", ref, c.Secrets)
	}
	return connector.Conceal(strings.TrimRight(string(data), "\r\n")), nil
}
