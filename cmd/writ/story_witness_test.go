//go:build unix

package main

import (
	"database/sql"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
)

func (s *story) witness(args []string) {
	name, dir := args[0], s.MkAbs(args[0])
	s.Check(s.Exec("writ", "witness", "--data", dir, "--name", name+".example", "--print-key"))
	key, _, _ := strings.Cut(s.ReadFile("stdout"), "\n")
	listen := strings.TrimPrefix(s.Getenv(name+"_URL"), "http://") // where it comes up again
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	_ = os.Remove(s.MkAbs(name + ".err")) // there is none before the first start
	s.spawn([]string{name, "writ", "witness", "--data", dir, "--listen", listen, "--log", s.Getenv("LOG")})
	s.see([]string{name + ".err", `witnesses at http://\S+`})
	s.Setenv(name+"_KEY", key)
	s.Setenv(name+"_URL", regexp.MustCompile(`http://\S+`).FindString(s.ReadFile(name+".err")))
}

func (s *story) expand(args []string) {
	s.Check(os.WriteFile(s.MkAbs(args[0]), []byte(os.Expand(s.ReadFile(args[0]), s.Getenv)), 0o600))
}

// fetch returns what the server answers now; status 0 if it does not.
func (s *story) fetch(path string) (int, string) {
	res, err := http.Get(s.Getenv("WRIT_SERVER") + path)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, ""
	}
	return res.StatusCode, string(body)
}

func (s *story) get(args []string) {
	re := regexp.MustCompile(strings.Join(args[2:], ""))
	s.until(strings.Join(args, " "), func() bool {
		status, body := s.fetch(args[1])
		return strconv.Itoa(status) == args[0] && re.MatchString(body)
	})
}

var ledgerSize = regexp.MustCompile(`(?m)^writ_ledger_size (\S+)$`)

func (s *story) witnessed(args []string) {
	s.until("all events are witnessed", func() bool {
		_, metrics := s.fetch("/metrics")
		_, note := s.fetch("/ledger/checkpoint")
		size := ledgerSize.FindStringSubmatch(metrics)
		lines := strings.Split(note, "\n")
		if len(size) == 0 || len(lines) < 6 || lines[1] != size[1] || strings.Count(note, "\n— ") < 2 {
			return false
		}
		s.Check(os.WriteFile(s.MkAbs(args[0]), []byte(note), 0o600))
		return true
	})
}

func (s *story) sql(args []string) {
	db, err := sql.Open("sqlite", s.MkAbs(args[0]))
	s.Check(err)
	defer db.Close()
	done, err := db.Exec(args[1])
	s.Check(err)
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		s.Fatalf("%s changed nothing: %v", args[1], err)
	}
}
