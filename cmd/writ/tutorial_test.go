package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var block = regexp.MustCompile("(?ms)^```(sh|text)\n(.*?)^```$")

// TestTutorial does what docs/tutorial.md says, all of it in one shell, and
// holds the output against what it shows.
func TestTutorial(t *testing.T) {
	page, err := os.ReadFile("../../docs/tutorial.md")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	var want []string
	for i, b := range block.FindAllStringSubmatch(string(page), -1) {
		text := strings.ReplaceAll(b[2], "serve --dev", "serve --dev --listen "+address)
		text = strings.ReplaceAll(text, "127.0.0.1:7480", address)
		switch {
		case b[1] == "text":
			want = append(want, b[2])
		case strings.HasPrefix(text, "go build"): // the test's own program is used
		default:
			fmt.Fprintf(&script, "# block %d\n%s", i, text)
		}
	}
	out := shell(t, script.String(), "http://"+address)
	for _, text := range want {
		rest, ok := after(out, text)
		if !ok {
			t.Fatalf("the tutorial shows\n%s\nbut from here on there is\n%s", text, out)
		}
		out = rest
	}
}

// shell runs a script with the program in its path, and returns all it prints.
func shell(t *testing.T, script, server string) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "writ")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -euo pipefail; set -m; trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"+script)
	cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "PATH="+dir+":"+os.Getenv("PATH"), "WRIT_SERVER="+server, "WRIT_TOKEN=", "COLUMNS=80")
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out.String()
}

// after returns what follows the first place where text stands. Where lines
// break is not compared; … stands for anything, also for lines left out.
func after(out, text string) (string, bool) {
	out = strings.Join(strings.Fields(out), " ")
	quoted := regexp.QuoteMeta(strings.Join(strings.Fields(text), " "))
	re := regexp.MustCompile(`(?s)` + strings.ReplaceAll(quoted, "…", ".*?"))
	at := re.FindStringIndex(out)
	if at == nil {
		return "", false
	}
	return out[at[1]:], true
}
