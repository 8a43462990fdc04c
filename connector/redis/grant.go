package redis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/writhq/writ/connector"
)

// Grant makes the user, or gives it a new password if it is there.
func (s *host) Grant(ctx context.Context, co connector.Order) (connector.Receipt, error) {
	o, err := read(co)
	if err != nil {
		return connector.Receipt{}, err
	}
	if !time.Now().Before(o.Until) {
		return connector.Receipt{}, refuse("the order for %s ended at %s", o.Request, o.Until.Format(time.RFC3339))
	}
	r, err := s.make(ctx, o)
	return r, s.fault(ctx, "make user "+o.name, err)
}

func (s *host) make(ctx context.Context, o order) (connector.Receipt, error) {
	w, err := s.enter(ctx)
	if err != nil {
		return connector.Receipt{}, err
	}
	defer w.close()
	first, err := s.settle(w, o, endable...)
	if err != nil {
		return connector.Receipt{}, err
	}
	password := rand.Text()
	sum := sha256.Sum256([]byte(password))
	hash := hex.EncodeToString(sum[:])
	u, err := w.save(first, o.user(hash), o.name)
	if err != nil {
		return connector.Receipt{}, err
	}
	return connector.Receipt{
		External:    o.name,
		Fingerprint: "sha256:" + hash,
		Detail:      u.detail(),
		Credential:  s.credential(o, password),
	}, nil
}

// endable are commands that do nothing, and fail where Writ could not end what it
// is about to grant.
var endable = []command{{"ACL", "DELUSER", "writ-none"}, {"CLIENT", "KILL", "ID", "9223372036854775807"}}

// save carries out what comes first and then the command that makes a user, has
// the server write its users down, and returns what became of this one. A user
// that would not outlive a restart is not left behind.
func (w *wire) save(first []command, set command, name string) (user, error) {
	answers, err := w.exchange(append(first, set, command{"ACL", "GETUSER", name}, command{"ACL", "SAVE"})...)
	if err != nil {
		return user{}, err
	}
	if said := failed(answers); said != nil {
		_, err := w.exchange(command{"ACL", "DELUSER", name})
		return user{}, errors.Join(said, err)
	}
	u, err := understand(name, answers[len(first)+1])
	if err == nil && u == nil {
		err = errors.New("it is gone again: somebody ended it at the same time")
	}
	if err != nil {
		return user{}, err
	}
	return *u, nil
}

// user returns the command that makes the user exactly what was ordered, whatever
// it was before. All of it happens or nothing. Of the password it holds only the
// hash, which is all that the server keeps.
func (o order) user(hash string) command {
	set := command{"ACL", "SETUSER", o.name, "reset", "resetchannels", "clearselectors", "sanitize-payload", "on", "#" + hash}
	return append(append(set, o.rules("")...), o.commands()...)
}

// credential is what the holder's process needs.
func (s *host) credential(o order, password string) *connector.Credential {
	u := url.URL{Scheme: strings.Split(s.URL, ":")[0], User: url.UserPassword(o.name, password), Host: net.JoinHostPort(s.Host, s.Port)}
	env := map[string]connector.Secret{}
	for name, value := range map[string]string{
		"REDIS_HOST":     s.Host,
		"REDIS_PORT":     s.Port,
		"REDIS_USERNAME": o.name,
		"REDIS_PASSWORD": password,
		"REDISCLI_AUTH":  password,
		"REDIS_URL":      u.String(),
	} {
		env[name] = connector.Conceal(value)
	}
	return &connector.Credential{Kind: o.Kind, Env: env, Until: o.Until.UTC()}
}
