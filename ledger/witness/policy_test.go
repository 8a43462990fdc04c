package witness

import (
	"fmt"
	"strings"
	"testing"
)

// team is some witnesses, their keys, and a log.
func team(t testing.TB, n int) (keys []string, all []*Witness, h *history) {
	t.Helper()
	h = newHistory(t, origin, numbered("r", 9)...)
	for i := range n {
		w, _, public := newWitness(t, fmt.Sprintf("w%d.example", i), h.signer.VerifierKey())
		all, keys = append(all, w), append(keys, public[0])
	}
	return keys, all, h
}

// TestPolicyDecidesWhoIsEnough: the two-level example of the specification.
func TestPolicyDecidesWhoIsEnough(t *testing.T) {
	keys, all, h := team(t, 6)
	p, err := ParsePolicy(strings.NewReplacer("K0", keys[0], "K1", keys[1], "K2", keys[2], "K3", keys[3], "K4", keys[4], "K5", keys[5], "LOG", h.signer.VerifierKey()).Replace(
		"# ours\nlog LOG https://log.example\n\n\twitness  X1 K0 https://x1.example\nwitness X2 K1\nwitness X3 K2\ngroup X-witnesses 2 X1 X2 X3\n" +
			"witness Y1 K3\nwitness Y2 K4\nwitness Y3 K5\ngroup Y-witnesses any Y1 Y2 Y3\n  # both\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"))
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]string, len(all))
	for i, w := range all {
		if lines[i], err = w.Add(t.Context(), h.ask(0, 9)); err != nil {
			t.Fatal(err)
		}
	}
	for signed := range 64 {
		cosigned, want := h.at(9), [2]int{}
		for i := range all {
			if signed>>i&1 == 1 {
				cosigned += lines[i]
				want[i/3]++
			}
		}
		c, err := p.Open(cosigned, h.signer.VerifierKey())
		if enough := want[0] >= 2 && want[1] >= 1; enough != (err == nil) || len(c.By) != want[0]+want[1] {
			t.Errorf("cosigned by %06b: %v %v", signed, c.By, err)
		}
		has := func(name string) bool { _, ok := c.By[name]; return ok }
		if decisive := want[0] >= 2 || want[1] == 3; decisive != p.Decisive(has) {
			t.Errorf("%06b answered: decisive %v", signed, !decisive)
		}
	}
	if p.Witnesses[0].URL != "https://x1.example" || len(p.Logs) != 1 {
		t.Errorf("%+v", p)
	}
	if _, err := p.Open(h.at(8)+strings.Join(lines, ""), h.signer.VerifierKey()); err == nil {
		t.Error("cosignatures of another checkpoint pass")
	}
	if _, err := (Policy{}).Open(h.at(8), h.signer.VerifierKey()); err == nil {
		t.Error("a policy that was never written needs nobody")
	}
}

// TestPolicyRefuses what the specification refuses, and says the line.
func TestPolicyRefuses(t *testing.T) {
	keys, _, h := team(t, 3)
	w := fmt.Sprintf("witness a %s\nwitness b %s\nwitness c %s\n", keys[0], keys[1], keys[2])
	log := h.signer.VerifierKey()
	for text, want := range map[string]string{
		"":                                                         "no quorum",
		"quorum none\nquorum none":                                 "line 2: there is one",
		"quorum a":                                                 "line 1",
		"quorum none all":                                          "line 1",
		"quorum all\n":                                             "line 1",
		w + "group g 0 a b\nquorum g":                              "line 4: 0 of 2",
		w + "group g 3 a b\nquorum g":                              "line 4: 3 of 2",
		w + "group g +1 a b\nquorum g":                             "line 4",
		w + "group g most a b\nquorum g":                           "line 4",
		w + "group g all\nquorum g":                                "line 4: write",
		w + "group g all a d\nquorum g":                            `line 4: "d" is no`,
		w + "group g all none\nquorum none":                        `line 4: "none" is no`,
		w + "group a all b\nquorum a":                              `line 4: the name "a" is taken`,
		w + "group none all b\nquorum none":                        `line 4: the name "none" is taken`,
		w + "group g all a a\nquorum g":                            "line 4: a is in a group already",
		w + "group g any a\ngroup h any a b\nquorum h":             "line 5: a is in a group already",
		w + "group h any g\ngroup g any a\nquorum h":               `line 4: "g" is no`,
		w + "witness a2 " + keys[0] + "\nquorum a":                 "line 4: the key of witness a2 stands here twice",
		"witness a " + log + "\nquorum a":                          "line 1",
		"witness a " + keys[0] + " u v\nquorum a":                  "line 1: write",
		"witness a " + strings.Replace(keys[0], "+", "+0", 1):      "line 1",
		"witness a x" + keys[0] + "\nquorum a":                     "line 1",
		"log " + log + "\nlog " + log + "\nquorum none":            "line 2: this log's key",
		"log nonsense\nquorum none":                                "line 1",
		"quorum none\r\n":                                          "line 1: it has a control",
		"quorum\u00a0none\n":                                       "no keyword",
		"witnesses 3\nquorum none":                                 "no keyword",
		"quorum none # nobody\n":                                   "line 1",
		"log " + log + " https://log.example extra\nquorum none":   "line 1: write",
		w + "witness w " + keys[0][:len(keys[0])-5] + "\nquorum a": "line 4",
	} {
		if _, err := ParsePolicy(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := ParsePolicy("quorum none"); err != nil {
		t.Error(err)
	}
	for need, ok := range map[int]bool{0: false, 1: true, 2: true, 3: false, -1: false} {
		if _, err := NewPolicy(need, Known{Name: "a", Key: keys[0]}, Known{Name: "b", Key: keys[1]}); ok != (err == nil) {
			t.Errorf("%d of 2: %v", need, err)
		}
	}
}
