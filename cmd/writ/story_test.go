//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"writ": main, "openid-provider": openIDProvider})
}

// patience bounds every wait of a story: long enough for a busy machine under
// the race detector.
const patience = 90 * time.Second

// TestStories plays testdata/*.txtar: the real program against a real server
// that the story starts. Beside testscript's own, a story has these commands:
//
//	server start|stop|kill [FLAG…]  `writ serve --dev` with its state in $WORK/data
//	server halted [FLAG…]           the same, and it must say that it is in safe mode
//	as NAME                         speak as an identity: sets WRIT_TOKEN
//	exits CODE COMMAND…             run it; its exit code must be CODE
//	keygen FILE VAR                 make an age identity; VAR is its recipient
//	let VAR PATH                    set VAR from the last output: id, terms.for, requests.0.id
//	call METHOD PATH BODY STATUS [DIGEST]
//	                                call the API, past the program: BODY is JSON or @FILE, DIGEST goes
//	                                with it as If-Match
//	same PATH TEXT                  the last output has TEXT there
//	agree VAR                       max and sue approve the only request that waits; VAR is its id
//	reach STATUS ID                 wait until the request is STATUS
//	spawn NAME COMMAND…             run in the background; output in NAME.out and NAME.err
//	see FILE REGEXP                 wait until the file has it
//	signal SIGNAL NAME              send a signal to what was spawned
//	reap CODE NAME                  wait for its end; its exit code must be CODE
//	witness NAME                    `writ witness` for the log $LOG, state in $WORK/NAME;
//	                                sets NAME_URL and NAME_KEY
//	expand FILE                     put the values of $VARs into it
//	get STATUS PATH [REGEXP]        wait until the server answers so
//	witnessed FILE                  wait until all events are witnessed; keep the checkpoint
//	real SYSTEM                     start it; sets SYSTEM_ADDR, and SYSTEM_ADMIN to its administrator's password
//	sql FILE STATEMENT              change a SQLite database behind everybody's back
//	save FILE PATH                  write what stands at a path of the last output to a file
//	replace FILE COPY OLD NEW       make a copy of a file with NEW wherever OLD was; it was somewhere
//
// and those of provisioner_test.go.
func TestStories(t *testing.T) { stories(t, "testdata", func(*testscript.Env) {}) }

// stories plays the stories in a directory, each after setup.
func stories(t *testing.T, dir string, setup func(*testscript.Env)) {
	commands := map[string]func(*testscript.TestScript, bool, []string){}
	for name, do := range map[string]func(*story, []string){
		"server": (*story).serve, "as": (*story).as, "exits": (*story).exits, "keygen": (*story).keygen, "let": (*story).let, "call": (*story).call, "same": (*story).same,
		"agree": (*story).agree, "reach": (*story).reach, "spawn": (*story).spawn, "see": (*story).see, "signal": (*story).signal, "reap": (*story).reap,
		"witness": (*story).witness, "expand": (*story).expand, "get": (*story).get, "witnessed": (*story).witnessed, "sql": (*story).sql,
		"replace": (*story).replace, "save": (*story).save,
		"provisioner": (*story).provisioner, "grants": (*story).grants, "as-server": (*story).asServer, "signs-in": (*story).signsIn,
		"forge": (*story).forge, "real": (*story).real, "alarm": (*story).alarm, "holds": (*story).holds,
	} {
		commands[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			s := ts.Value("story").(*story)
			if s.TestScript = ts; neg {
				ts.Fatalf("! %s is not supported", name)
			}
			do(s, args)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: dir, RequireExplicitExec: true, Cmds: commands,
		Setup: func(env *testscript.Env) error {
			s := &story{jobs: map[string]*job{}}
			env.Values["story"] = s
			env.Defer(s.end)
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			env.Setenv("TMPDIR", filepath.Join(env.WorkDir, "tmp"))
			setup(env)
			return os.Mkdir(filepath.Join(env.WorkDir, "tmp"), 0o700)
		},
	})
}

type story struct {
	*testscript.TestScript
	jobs   map[string]*job
	listen string
}

// A job runs in the background of a story.
type job struct {
	*exec.Cmd
	done chan struct{} // closed when it has ended
}

// end ends what still runs, and says how the server ended if the story did not.
func (s *story) end() {
	for _, j := range s.jobs {
		_ = j.Process.Signal(syscall.SIGTERM)
		select {
		case <-j.done:
		case <-time.After(patience):
			_ = j.Process.Kill()
		}
	}
}

func (s *story) serve(args []string) {
	want := map[string]int{"start": http.StatusOK, "halted": http.StatusServiceUnavailable}[args[0]]
	if want == 0 {
		sig := map[string]string{"stop": "TERM", "kill": "KILL"}[args[0]]
		s.signal([]string{sig, "server"})
		<-s.jobs["server"].done
		return
	}
	if s.listen == "" {
		s.listen = "127.0.0.1:0"
	}
	log := s.MkAbs("server.err")
	_ = os.Remove(log) // there is none before the first start
	s.spawn(append([]string{"server", "writ", "serve", "--dev", "--data", s.MkAbs("data"), "--listen", s.listen}, args[1:]...))
	s.see([]string{"server.err", `serves http://\S+`})
	url := regexp.MustCompile(`http://\S+`).FindString(s.ReadFile("server.err"))
	s.listen = strings.TrimPrefix(url, "http://") // where it comes up again
	s.Setenv("WRIT_SERVER", url)
	s.get([]string{strconv.Itoa(want), "/readyz", map[string]string{"halted": "safe mode"}[args[0]]})
}

func (s *story) until(what string, done func() bool) {
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("waited %s, and not yet: %s", patience, what)
		}
	}
}

func (s *story) as(args []string) {
	s.Check(s.Exec("writ", "login", "--as", args[0], "--print"))
	s.Setenv("WRIT_TOKEN", strings.TrimSpace(s.ReadFile("stdout")))
}

func (s *story) exits(args []string) {
	err := s.Exec(args[1], args[2:]...)
	code := 0
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		code = ended.ExitCode()
	} else if err != nil {
		s.Fatalf("%s did not run: %v", args[1], err)
	}
	if want := args[0]; strconv.Itoa(code) != want {
		s.Fatalf("exit code %d, want %s", code, want)
	}
}

func (s *story) keygen(args []string) {
	key, err := age.GenerateX25519Identity()
	s.Check(err)
	s.Check(os.WriteFile(s.MkAbs(args[0]), []byte("# a key of a story\n"+key.String()+"\n"), 0o600))
	s.Setenv(args[1], key.Recipient().String())
}

// at returns what stands at a path of the last output.
func (s *story) at(path string) string {
	var v any
	s.Check(json.Unmarshal([]byte(s.ReadFile("stdout")), &v))
	for name := range strings.SplitSeq(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[name]
		case []any:
			i, err := strconv.Atoi(name)
			if s.Check(err); i >= len(at) {
				return ""
			}
			v = at[i]
		default:
			return ""
		}
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func (s *story) let(args []string) {
	value := s.at(args[1])
	if value == "" {
		s.Fatalf("the output has nothing at %s", args[1])
	}
	s.Setenv(args[0], value)
}

func (s *story) call(args []string) {
	method, path, body, status := args[0], args[1], args[2], args[3]
	if file, ok := strings.CutPrefix(body, "@"); ok {
		body = s.ReadFile(file)
	}
	req, err := http.NewRequest(method, s.Getenv("WRIT_SERVER")+path, strings.NewReader(body))
	s.Check(err)
	req.Header.Set("Authorization", "Bearer "+s.Getenv("WRIT_TOKEN"))
	req.Header.Set("Content-Type", "application/json")
	if len(args) > 4 {
		req.Header.Set("If-Match", `"`+args[4]+`"`)
	}
	res, err := http.DefaultClient.Do(req)
	s.Check(err)
	defer closeAll(res.Body)
	data, err := io.ReadAll(res.Body)
	s.Check(err)
	if _, err := s.Stdout().Write(data); err != nil || strconv.Itoa(res.StatusCode) != status {
		s.Fatalf("%s %s: %d %s, want %s (%v)", method, path, res.StatusCode, data, status, err)
	}
}

func (s *story) same(args []string) {
	if got := s.at(args[0]); got != args[1] {
		s.Fatalf("%s is %q, want %q", args[0], got, args[1])
	}
}

func (s *story) agree(args []string) {
	asker, id := s.Getenv("WRIT_TOKEN"), ""
	for _, who := range []string{"human/max", "human/sue"} {
		s.as([]string{who})
		s.until(who+" has something to decide", func() bool {
			s.Check(s.Exec("writ", "inbox", "-o", "json"))
			id = s.at("requests.0.id")
			return id != ""
		})
		s.Check(s.Exec("writ", "approve", id, "--yes", "-o", "json"))
	}
	s.Setenv(args[0], id)
	s.Setenv("WRIT_TOKEN", asker)
}

func (s *story) reach(args []string) {
	s.until(args[1]+" is "+args[0], func() bool {
		s.Check(s.Exec("writ", "show", args[1], "-o", "json"))
		return s.at("status") == args[0]
	})
}

func (s *story) spawn(args []string) {
	name := args[0]
	out, err := os.Create(s.MkAbs(name + ".out"))
	s.Check(err)
	errs, err := os.Create(s.MkAbs(name + ".err"))
	s.Check(err)
	path, err := exec.LookPath(args[1]) // of the test itself: testscript put writ there
	s.Check(err)
	j := &job{exec.Command(path, args[2:]...), make(chan struct{})}
	j.Dir, j.Stdout, j.Stderr = s.MkAbs("."), out, errs
	for _, name := range []string{"WRIT_SERVER", "WRIT_TOKEN", "XDG_CONFIG_HOME", "TMPDIR", "PATH", "HOME", "WORK"} {
		j.Env = append(j.Env, name+"="+s.Getenv(name))
	}
	s.Check(j.Start())
	s.jobs[name] = j
	go func() {
		_ = j.Wait() // its exit code is looked at by reap
		closeAll(out, errs)
		close(j.done)
	}()
}

func (s *story) save(args []string) {
	s.Check(os.WriteFile(s.MkAbs(args[0]), []byte(s.at(args[1])), 0o600))
}

func (s *story) replace(args []string) {
	text := s.ReadFile(args[0])
	if !strings.Contains(text, args[2]) {
		s.Fatalf("%s has no %q", args[0], args[2])
	}
	s.Check(os.WriteFile(s.MkAbs(args[1]), []byte(strings.ReplaceAll(text, args[2], args[3])), 0o600))
}

func closeAll(files ...io.Closer) {
	for _, f := range files {
		_ = f.Close()
	}
}

func (s *story) see(args []string) {
	re := regexp.MustCompile(args[1])
	s.until(args[0]+" has "+args[1], func() bool {
		data, err := os.ReadFile(s.MkAbs(args[0]))
		return err == nil && re.Match(data)
	})
}

var signals = map[string]syscall.Signal{
	"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT,
	"STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT,
}

func (s *story) signal(args []string) {
	s.Check(s.jobs[args[1]].Process.Signal(signals[args[0]]))
}

func (s *story) reap(args []string) {
	j := s.jobs[args[1]]
	s.until(args[1]+" has ended", func() bool {
		select {
		case <-j.done:
			return true
		default:
			return false
		}
	})
	s.Logf("%s", s.ReadFile(args[1]+".err"))
	if got := strconv.Itoa(j.ProcessState.ExitCode()); got != args[0] {
		s.Fatalf("%s ended with %s, want %s", args[1], got, args[0])
	}
	delete(s.jobs, args[1])
}
