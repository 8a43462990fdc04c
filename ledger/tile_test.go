package ledger_test

import (
	"math"
	"regexp"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/writhq/writ/ledger"
)

// TestTilePaths takes its paths from the text of c2sp.org/tlog-tiles.
func TestTilePaths(t *testing.T) {
	for _, test := range []struct {
		path  string
		level int
		n     int64
		width int
	}{
		{"tile/0/x001/x234/067", 0, 1234067, 256},
		{"tile/0/273.p/112", 0, 273, 112},
		{"tile/1/001.p/17", 1, 1, 17},
		{"tile/2/000.p/1", 2, 0, 1},
		{"tile/63/000", 63, 0, 256},
		{"tile/entries/000", ledger.Entries, 0, 256},
		{"tile/entries/x123/456.p/255", ledger.Entries, 123456, 255},
		{"tile/0/x009/x223/x372/x036/x854/x775/807", 0, math.MaxInt64, 256},
	} {
		if got := ledger.Path(test.level, test.n, test.width); got != test.path {
			t.Errorf("Path(%d, %d, %d) = %s, want %s", test.level, test.n, test.width, got, test.path)
		}
		level, n, width, err := ledger.ParsePath(test.path)
		if err != nil || level != test.level || n != test.n || width != test.width {
			t.Errorf("ParsePath(%s) = %d, %d, %d, %v", test.path, level, n, width, err)
		}
	}
}

var badPaths = []string{
	"", "tile", "tile/", "tile/0", "tile/0/", "/tile/0/000", "tile/0/000/", "tile/0//000", "tile/0/0", "tile/0/00", "tile/0/0000",
	"tile/00/000", "tile/-1/000", "tile/64/000", "tile/x/000", "tile/+1/000", "tile/data/000", "tile/8/0/000", "tile/entries",
	"tile/entries/0/000", "tile/0/x000/000", "tile/0/001/000", "tile/0/x001/x000", "tile/0/000.p", "tile/0/000.p/0", "tile/0/000.p/256",
	"tile/0/000.p/01", "tile/0/000.p/-1", "tile/0/000.p/1/2", "tile/0/000.p/", "tile/0/x009/x223/x372/x036/x854/x775/808", "tile/0/ 00",
	"tile/0/x018/x446/x744/x073/x709/x551/616", "tile/0/-01", "Tile/0/000", "tile/0/000?x", "tile/entries/data/000", "tile/0/٠٠٠",
}

func TestMalformedTilePathsAreRefused(t *testing.T) {
	for _, path := range badPaths {
		if level, n, width, err := ledger.ParsePath(path); err == nil {
			t.Errorf("ParsePath(%q) = %d, %d, %d", path, level, n, width)
		}
	}
}

// pathForm is the form of a path, read from the standard and not from the code.
var pathForm = regexp.MustCompile(`^tile/(?:entries|[0-9]|[1-5][0-9]|6[0-3])/(?:x[0-9]{3}/)*[0-9]{3}(?:\.p/([1-9][0-9]{0,2}))?$`)

func FuzzParsePath(f *testing.F) {
	for _, path := range append(badPaths, "tile/0/x001/x234/067", "tile/entries/273.p/112", "tile/63/000.p/255") {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		level, n, width, err := ledger.ParsePath(path)
		if err != nil {
			return
		}
		form := pathForm.FindStringSubmatch(path)
		if form == nil || n < 0 || level < ledger.Entries || level > 63 {
			t.Fatalf("ParsePath(%q) = %d, %d, %d", path, level, n, width)
		}
		if want, err := strconv.Atoi(form[1]); err == nil && (want != width || width > 255) || err != nil && width != 256 {
			t.Fatalf("ParsePath(%q) has width %d", path, width)
		}
		if again := ledger.Path(level, n, width); again != path {
			t.Fatalf("%q is %q when written", path, again)
		}
	})
}

func TestEveryTileHasItsPath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		level := rapid.IntRange(ledger.Entries, 63).Draw(t, "level")
		n := rapid.Int64Range(0, math.MaxInt64).Draw(t, "n")
		width := rapid.IntRange(1, 256).Draw(t, "width")
		gotLevel, gotN, gotWidth, err := ledger.ParsePath(ledger.Path(level, n, width))
		if err != nil || gotLevel != level || gotN != n || gotWidth != width {
			t.Fatalf("%d, %d, %d came back as %d, %d, %d, %v", level, n, width, gotLevel, gotN, gotWidth, err)
		}
	})
}
