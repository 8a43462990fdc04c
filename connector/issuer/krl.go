package issuer

import (
	"context"
	"encoding/binary"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/writhq/writ/connector"
)

// krl is the last key revocation list made. It is served for a while, as
// anybody may ask for it.
type krl struct {
	mu   sync.Mutex
	at   time.Time
	list []byte
}

const krlFor = time.Second

// KRL returns the SSH certificates that were ended early and would otherwise
// still be good, as a key revocation list in OpenSSH's format (PROTOCOL.krl).
// With it as RevokedKeys, sshd refuses their next login.
func (i *Issuer) KRL(ctx context.Context) ([]byte, error) {
	i.krl.mu.Lock()
	defer i.krl.mu.Unlock()
	now := i.cfg.Now()
	if age := now.Sub(i.krl.at); i.krl.list != nil && age >= 0 && age < krlFor {
		return i.krl.list, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rows, err := i.read(ctx, selectRows+`WHERE kind = $1 AND until > $2 AND ended <> 0 ORDER BY until`, string(connector.SSHCert), micros(now))
	if err != nil {
		return nil, err
	}
	var serials []byte
	for _, r := range rows {
		serial, err := strconv.ParseUint(r.id, 10, 64)
		if err != nil {
			return nil, err
		}
		serials = binary.BigEndian.AppendUint64(serials, serial)
	}
	i.krl.at, i.krl.list = now, i.writeKRL(serials, uint64(now.Unix()))
	return i.krl.list, nil
}

// writeKRL lists the serials under each key that may have signed them: they are
// random, so under another key they mean nothing.
func (i *Issuer) writeKRL(serials []byte, now uint64) []byte {
	const certificates, serialList = 1, 0x20 // section types
	list := append([]byte("SSHKRL\n\x00"), 0, 0, 0, 1)
	list = binary.BigEndian.AppendUint64(list, now) // version
	list = binary.BigEndian.AppendUint64(list, now) // when it was made
	list = binary.BigEndian.AppendUint64(list, 0)   // flags
	list = appendString(list, nil)                  // reserved
	list = appendString(list, []byte(i.cfg.URL))    // comment
	if len(serials) == 0 {
		return list
	}
	for _, ca := range i.mint.SSHCAs() {
		section := appendString(nil, ca.Marshal())
		section = appendString(section, nil) // reserved
		section = appendString(append(section, serialList), serials)
		list = appendString(append(list, certificates), section)
	}
	return list
}

func appendString(to, s []byte) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(s))), s...)
}

func (i *Issuer) serveKRL(w http.ResponseWriter, r *http.Request) {
	list, err := i.KRL(r.Context())
	if err != nil {
		i.cfg.Log.Error("issuer cannot list revoked ssh certificates", "error", err)
		problem(w, http.StatusServiceUnavailable, "the list cannot be made at the moment; keep the one you have and try again")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(list) // a caller that is gone wants no answer
}
