package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A RedisConfig says how a throwaway Redis server runs.
type RedisConfig struct {
	NoUserFile bool     // users are kept in memory only
	Users      []byte   // what the user file holds beside user default, one user a line
	TLS        []string // further arguments about TLS; given any, the server speaks nothing else
}

// A Redis is a running Redis server on loopback that keeps no data, only users.
type Redis struct {
	Addr     string // host:port
	Password string // of user default, who may do everything
	UserFile string // path of its aclfile

	process *process
}

// StartRedis starts a Redis server and returns once it serves. The context bounds
// the start only. Without Redis on the machine the error is ErrMissing.
func StartRedis(ctx context.Context, c RedisConfig) (*Redis, error) {
	r, err := startRedis(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return r, nil
}

func startRedis(ctx context.Context, c RedisConfig) (*Redis, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("redis-server is not in PATH; install package redis-server: %w", ErrMissing)
	}
	who, err := unprivileged("redis", "nobody")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "writ-redis-")
	if err != nil {
		return nil, err
	}
	r := &Redis{Password: rand.Text(), UserFile: filepath.Join(dir, "users.acl")}
	s := spec{path: path, env: []string{"LC_ALL=C", "TZ=UTC"}, account: who, dir: dir, throwaway: true, quit: syscall.SIGKILL}
	if err = r.prepare(s, c); err == nil {
		err = r.serve(ctx, s, c)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
	}
	return r, err
}

func (r *Redis) prepare(s spec, c RedisConfig) error {
	if err := own(s.dir, s.account); err != nil || c.NoUserFile {
		return err
	}
	users := fmt.Appendf(nil, "user default on #%x ~* &* +@all\n%s", sha256.Sum256([]byte(r.Password)), c.Users)
	if err := os.WriteFile(r.UserFile, users, 0o600); err != nil {
		return err
	}
	return own(r.UserFile, s.account)
}

// serve starts the server on a free port; a port taken in between is tried anew.
func (r *Redis) serve(ctx context.Context, s spec, c RedisConfig) error {
	var err error
	for range 3 {
		var port int
		if port, err = freePort(); err != nil {
			return err
		}
		r.Addr = "127.0.0.1:" + strconv.Itoa(port)
		run := s
		run.args = r.args(port, c)
		if r.process, err = start(run); err != nil {
			return err
		}
		if err = r.ready(ctx); err == nil {
			return nil
		}
		words := r.process.lastWords()
		r.process.spec.throwaway = false // the directory serves the next try
		r.process.stop()
		err = fmt.Errorf("%w: %s", err, words)
		if !strings.Contains(words, "Address already in use") {
			break
		}
	}
	return err
}

func (r *Redis) args(port int, c RedisConfig) []string {
	args := []string{"--bind", "127.0.0.1", "--save", "", "--appendonly", "no"}
	if c.NoUserFile {
		args = append(args, "--requirepass", r.Password)
	} else {
		args = append(args, "--aclfile", r.UserFile)
	}
	if len(c.TLS) == 0 {
		return append(args, "--port", strconv.Itoa(port))
	}
	return append(append(args, "--port", "0", "--tls-port", strconv.Itoa(port)), c.TLS...)
}

// ready waits until the server says that it is.
func (r *Redis) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		log, err := os.ReadFile(filepath.Join(r.process.spec.dir, "log"))
		if err != nil || bytes.Contains(log, []byte("Ready to accept connections")) {
			return err
		}
		select {
		case <-r.process.gone:
			return errors.New("the server ended at once")
		case <-ctx.Done():
			return fmt.Errorf("the server does not serve on %s: %w", r.Addr, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop kills the server and removes what it kept. A second call does nothing.
func (r *Redis) Stop() { r.process.stop() }
