package page

import (
	"maps"
	"net/http"

	"github.com/writhq/writ/internal/page/ask"
	"github.com/writhq/writ/internal/page/frame"
	"github.com/writhq/writ/internal/page/inventory"
	"github.com/writhq/writ/internal/page/record"
)

// further returns the pages that packages below this one make.
func (p *Pages) further() map[string]http.Handler {
	all := map[string]frame.Handler{}
	maps.Copy(all, ask.Pages{Door: p.Door}.Routes())
	maps.Copy(all, inventory.Pages{Door: p.Door}.Routes())
	maps.Copy(all, record.Pages{Door: p.Door}.Routes())
	out := map[string]http.Handler{}
	for pattern, h := range all {
		out[pattern] = p.handle(p.known(p.framed(h)))
	}
	return out
}

// framed puts what stands around all pages around one.
func (p *Pages) framed(h frame.Handler) func(*http.Request, *viewer) (answer, error) {
	return func(r *http.Request, v *viewer) (answer, error) {
		out, err := h(r, v.Caller)
		switch {
		case err != nil:
			return answer{}, err
		case out.To != "":
			return p.done(r.Context(), out.To, out.Notice)
		}
		if out.Data == nil {
			out.Data = map[string]any{}
		}
		out.Data["Viewer"] = v
		return answer{page: out.Page, data: out.Data, status: out.Status}, nil
	}
}
