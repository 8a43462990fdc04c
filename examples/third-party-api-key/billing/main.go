// Command billing is a protected service: it lets in whoever shows an API key
// that Writ says is active and good for the service that is asked for.
//
//	WRIT_SERVER=… WRIT_TOKEN=… billing 127.0.0.1:8080
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"
)

var writ = &http.Client{Timeout: 2 * time.Second}

// holder returns whom a key is active for, in this service. Whatever goes
// wrong, nobody is let in.
func holder(key, service string) (string, error) {
	question, err := json.Marshal(map[string]any{"token": key, "audience": "billing", "scope": map[string]string{"service": service}})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequest("POST", os.Getenv("WRIT_SERVER")+"/issuer/verify", bytes.NewReader(question))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+os.Getenv("WRIT_TOKEN"))
	req.Header.Set("Content-Type", "application/json")
	res, err := writ.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var answer struct {
		Active  bool
		Subject string
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != http.StatusOK || !answer.Active {
		return "", errors.Join(errors.New("the key is not good for "+service), err)
	}
	return answer.Subject, nil
}

func serve(w http.ResponseWriter, r *http.Request) {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	who, err := holder(key, r.PathValue("service"))
	if !ok || err != nil {
		http.Error(w, "show a key for "+r.PathValue("service"), http.StatusUnauthorized)
		return
	}
	fmt.Fprintf(w, "%s of %s\n", r.PathValue("service"), who)
}

func main() {
	http.HandleFunc("GET /{service}", serve)
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
