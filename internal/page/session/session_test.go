package session

import (
	"database/sql"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/writhq/writ/internal/realtest"
)

// databases runs a test on both engines.
func databases(t *testing.T, test func(*testing.T, *sql.DB)) {
	for name, open := range map[string]func(*testing.T) (*sql.DB, error){
		"sqlite": func(t *testing.T) (*sql.DB, error) {
			return sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "sessions.db"))
		},
		"postgres": func(t *testing.T) (*sql.DB, error) { return sql.Open("pgx", realtest.Postgres(t).DSN) },
	} {
		t.Run(name, func(t *testing.T) {
			db, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			test(t, db)
		})
	}
}
