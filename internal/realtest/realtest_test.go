package realtest

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestDatabasesAreFreshAndApart(t *testing.T) {
	first, second := Database(t), Database(t)
	if first == second {
		t.Fatalf("twice the same database: %s", first)
	}
	for _, dsn := range []string{first, second} {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "create table only_here (id int)"); err != nil {
			t.Error(err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestDatabaseGoesAfterTheTest(t *testing.T) {
	var dsn string
	t.Run("user", func(t *testing.T) { dsn = Database(t) })
	if conn, err := pgx.Connect(t.Context(), dsn); err == nil {
		conn.Close(t.Context())
		t.Fatalf("%s is still there", dsn)
	}
}
