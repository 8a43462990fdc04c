package server

import (
	"errors"
	"net"
	"os"
	"testing"
)

func TestVaultLeavesNothing(t *testing.T) {
	v, err := StartVault(t.Context())
	if errors.Is(err, ErrMissing) && os.Getenv("CI") == "" {
		t.Skipf("not tested here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := v.process.spec.dir
	if !exists(dir) {
		t.Errorf("%s is not where it lives", dir)
	}
	v.Stop()
	v.Stop()
	if conn, err := net.Dial("tcp", v.Addr); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
	if exists(dir) {
		t.Errorf("%s is left", dir)
	}
}
