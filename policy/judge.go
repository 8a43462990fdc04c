package policy

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/writhq/writ"
)

// A Judge gives verdicts by the policy documents of whatever directory it is
// asked about. It keeps the policy it compiled last: documents change rarely.
// It may be used from several goroutines at once.
type Judge struct {
	compiling sync.Mutex
	last      atomic.Pointer[compiled]
}

type compiled struct {
	dir    *writ.Directory
	files  []File
	policy *Policy
}

// NewJudge returns a judge that has not compiled anything yet.
func NewJudge() *Judge { return &Judge{} }

// Verdict is Policy.Verdict by the documents of q.Facts.Directory. Without a
// policy document, or if one does not compile, everything is denied.
func (j *Judge) Verdict(q Query) writ.Verdict { return j.policy(q.Facts.Directory).Verdict(q) }

// Explain is Policy.Explain by the documents of q.Facts.Directory.
func (j *Judge) Explain(q Query) Explanation { return j.policy(q.Facts.Directory).Explain(q) }

// Authority is Policy.Authority by the documents of d. Of a document that does
// not compile it takes what can be read.
func (j *Judge) Authority(d *writ.Directory, who writ.Ref) writ.Authority {
	return j.policy(d).Authority(d, who)
}

func (j *Judge) policy(d *writ.Directory) *Policy {
	if d == nil {
		return compile(nil)
	}
	if p := j.known(d, nil); p != nil {
		return p
	}
	var files []File
	for _, name := range slices.Sorted(maps.Keys(d.Policies)) {
		files = append(files, File{"policy/" + name, d.Policies[name].Source})
	}
	j.compiling.Lock()
	defer j.compiling.Unlock()
	p := j.known(d, files)
	if p == nil {
		p = compile(files)
	}
	j.last.Store(&compiled{d, files, p})
	return p
}

// known returns the policy compiled last if it is of this directory, which
// never changes, or of the same texts.
func (j *Judge) known(d *writ.Directory, files []File) *Policy {
	last := j.last.Load()
	if last != nil && (last.dir == d || files != nil && slices.Equal(last.files, files)) {
		return last.policy
	}
	return nil
}
