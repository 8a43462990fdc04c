package postgres

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// A password is a random text of 130 bits, and what PostgreSQL keeps of it.
type password struct {
	text, verifier string
	err            error
}

// passwords makes a password ahead of each that is taken, until done is closed:
// hashing takes longer than all else that Writ itself does for a grant.
func passwords(done <-chan struct{}) <-chan password {
	made := make(chan password)
	go func() {
		for {
			p := password{text: rand.Text()}
			salt := make([]byte, 16)
			rand.Read(salt)
			p.verifier, p.err = verifier(p.text, salt, iterations)
			select {
			case made <- p:
			case <-done:
				return
			}
		}
	}()
	return made
}

// iterations is the least that RFC 7677 allows, and some clients insist on that.
// More would not help: the passwords are 130 random bits.
const iterations = 4096

// verifier returns what PostgreSQL keeps of a password: SCRAM-SHA-256 as in RFC
// 5803, section 3. Made here, the password itself is in no statement, which a
// server may log. It is ASCII, so SASLprep (RFC 4013) changes nothing.
func verifier(password string, salt []byte, rounds int) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	sign := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored, server := sha256.Sum256(sign("Client Key")), sign("Server Key")
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, b64(salt), b64(stored[:]), b64(server)), nil
}
