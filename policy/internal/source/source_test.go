package source

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/writhq/writ"
)

type form struct {
	A Text            `yaml:"a"`
	B []Text          `yaml:"b"`
	C map[string]Text `yaml:"c"`
}

func TestValuesKeepTheirPlaces(t *testing.T) {
	for _, end := range []string{"\n", "\r\n", "\r"} {
		s := New("f.yaml", strings.ReplaceAll("# é\nb: [x, 'y']\nc:\n  é: \"\\u00e9 z\"\n  n: 0x10\na: |\n\n  one\n    two\n", "\n", end))
		var f form
		if !s.Parse(&f) {
			t.Fatal(Join(s.Errors))
		}
		if f.A.Value != "\none\n  two\n" || f.B[1].Value != "y" || f.C["é"].Value != "é z" || f.C["n"].Value != "0x10" {
			t.Errorf("got %+v", f)
		}
		tests := []struct {
			text   Text
			offset int
			want   Place
		}{
			{f.B[0], 0, Place{2, 5}}, {f.B[0], 1, Place{2, 6}}, {f.B[1], 0, Place{2, 9}}, {f.B[1], 1, Place{2, 10}},
			{f.C["é"], 0, Place{4, 7}}, {f.C["é"], 1, Place{4, 8}}, {f.C["é"], 2, Place{4, 14}},
			{f.A, 1, Place{8, 3}}, {f.A, 3, Place{8, 5}}, {f.A, 4, Place{8, 6}}, {f.A, 7, Place{9, 5}}, {f.A, 11, Place{9, 8}},
		}
		for _, tt := range tests {
			if got := s.within(tt.text, tt.offset); got != tt.want {
				t.Errorf("%q: character %d of %q is at %v, want %v", end, tt.offset, tt.text.Value, got, tt.want)
			}
		}
	}
}

func TestNotEverythingIsRead(t *testing.T) {
	for name, text := range map[string]string{
		"too long":          "a: " + strings.Repeat("x", maxBytes),
		"not UTF-8":         "a: \xff\n",
		"a control in text": "a: x\x00y\nz: 1\n",
		"nothing":           "",
		"no mapping":        "text\n",
	} {
		s := New("f.yaml", text)
		if s.Parse(&form{}) || len(s.Errors) == 0 {
			t.Errorf("%s: it is read", name)
		}
		for _, e := range s.Errors {
			if strings.Contains(e.Error(), "\x00") || len(e.Error()) > 1000 {
				t.Errorf("%s: %q", name, e.Error())
			}
		}
	}
}

func TestManyErrorsAreCounted(t *testing.T) {
	s := New("f.yaml", "")
	for i := range maxErrors + 7 {
		s.Fail(nil, "wrong %d", i)
	}
	err := Join(s.Errors)
	if lines := strings.Count(err.Error(), "f.yaml:1:1"); lines != maxErrors || !strings.HasSuffix(err.Error(), "\nand 7 more") {
		t.Errorf("%d are shown: %v", lines, err)
	}
	var first *Error
	if !errors.As(err, &first) || !errors.Is(err, writ.Invalid) || first.Brief() != "f.yaml:1:1: wrong 0" {
		t.Errorf("got %v", err)
	}
}

func TestLongLinesAreCut(t *testing.T) {
	s := New("f.yaml", "a: "+strings.Repeat("x", 500)+"\n")
	s.fail(Place{1, 300}, "here")
	want := fmt.Sprintf("f.yaml:1:300: here\n    1 | %s\n      | %s^", strings.Repeat("x", 160), strings.Repeat(" ", 80))
	if got := Join(s.Errors).Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
