package web

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/door"
)

// Inputs. What is embedded is exported: the framework reads no other fields.
type (
	// One names a request.
	One struct {
		Repeatable
		ID writ.ID `path:"id" example:"req-01j8z3k4m5n6p7q8r9s0t1v2w3"`
	}
	// Decision is about the terms of a request that were seen.
	Decision struct {
		One
		IfMatch string `header:"If-Match" doc:"digest of the terms that were seen, in quotes"`
	}

	none     struct{ Signed }
	askInput struct {
		Repeatable
		Body door.Ask
	}
	denyInput struct {
		Decision
		Body struct {
			Note string `json:"note,omitempty" doc:"why, for the requester"`
		}
	}
	noteInput struct {
		One
		Body struct {
			Note string `json:"note,omitempty" doc:"why, for the record"`
		}
	}
	waitInput struct {
		One
		After int         `query:"after" doc:"answer when the request has more events than this"`
		Until writ.Status `query:"until" doc:"answer when the request has this status, or cannot get it any more"`
		For   string      `query:"for" default:"30s" doc:"answer after this time at the latest; no more than 1m"`
	}
	listInput struct {
		Signed
		Status      []writ.Status `query:"status,explode"`
		Subject     writ.Ref      `query:"subject"`
		Entitlement string        `query:"entitlement"`
		Target      string        `query:"target"`
		Before      writ.ID       `query:"before" doc:"page by key: only requests before this one"`
		Limit       int           `query:"limit" maximum:"200"`
	}
	cutInput struct {
		Repeatable
		Body struct {
			Identity writ.Ref `json:"identity"`
			Note     string   `json:"note,omitempty"`
		}
	}
	meetInput struct {
		Repeatable
		Body struct {
			Condition string `json:"condition" example:"incident/INC-7"`
		}
	}
	putInput struct {
		Repeatable
		Body door.Put
	}
	documentsInput struct {
		Signed
		Kind string `query:"kind" enum:"entitlement,group,identity,policy,target"`
		Name string `query:"name"`
	}

	// Documents are documents as they are now.
	Documents struct {
		Documents []writ.Document `json:"documents"`
	}
	// Changes say what became of each document.
	Changes struct {
		Changes []door.Change `json:"changes"`
	}
)

// routes is the table of all operations.
func (s *server) routes(api huma.API) {
	s.asking(api)
	s.deciding(api)
	s.describing(api)
}

func op(id, method, path, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, MaxBodyBytes: maxBody}
}

func created(o huma.Operation) huma.Operation { o.DefaultStatus = http.StatusCreated; return o }

// asking is what requesters do.
func (s *server) asking(api huma.API) {
	d := s.Door
	route(s, api, created(op("submit", "POST", "/v1/requests", "Ask for access")),
		func(ctx context.Context, who door.Caller, in askInput) (writ.Request, error) {
			return d.Submit(ctx, who, in.Body)
		})
	route(s, api, op("preview", "POST", "/v1/preview", "What would become of an ask"),
		func(ctx context.Context, who door.Caller, in askInput) (door.Preview, error) {
			return d.Preview(ctx, who, in.Body)
		})
	route(s, api, op("list", "GET", "/v1/requests", "Requests, newest first"), s.list)
	route(s, api, op("show", "GET", "/v1/requests/{id}", "One request: terms, life, events"),
		func(ctx context.Context, who door.Caller, in One) (door.Dossier, error) {
			return d.Show(ctx, who, in.ID)
		})
	route(s, api, op("wait", "GET", "/v1/requests/{id}/wait", "One request, when it has changed"), s.wait)
	route(s, api, op("withdraw", "POST", "/v1/requests/{id}/withdraw", "Take a pending request back"),
		func(ctx context.Context, who door.Caller, in One) (writ.Request, error) {
			return d.Withdraw(ctx, who, in.ID)
		})
	route(s, api, op("release", "POST", "/v1/requests/{id}/release", "End access that is no longer needed"),
		func(ctx context.Context, who door.Caller, in One) (writ.Request, error) {
			return d.Release(ctx, who, in.ID)
		})
	route(s, api, op("claim", "POST", "/v1/requests/{id}/claim", "Take the credential, once"),
		func(ctx context.Context, who door.Caller, in One) (door.Delivery, error) {
			return d.Claim(ctx, who, in.ID)
		})
}

// deciding is what approvers, owners and whoever may revoke do.
func (s *server) deciding(api huma.API) {
	d := s.Door
	route(s, api, op("inbox", "GET", "/v1/inbox", "Requests that wait for the caller"),
		func(ctx context.Context, who door.Caller, _ none) (door.Page, error) {
			rs, err := d.Inbox(ctx, who)
			return door.Page{Requests: rs}, err
		})
	route(s, api, op("approve", "POST", "/v1/requests/{id}/approve", "Say yes to exact terms"),
		func(ctx context.Context, who door.Caller, in Decision) (writ.Request, error) {
			digest, err := seen(in.IfMatch)
			if err != nil {
				return writ.Request{}, err
			}
			return d.Approve(ctx, who, in.ID, digest)
		})
	route(s, api, op("deny", "POST", "/v1/requests/{id}/deny", "Say no; it is final"),
		func(ctx context.Context, who door.Caller, in denyInput) (writ.Request, error) {
			digest, err := seen(in.IfMatch)
			if err != nil {
				return writ.Request{}, err
			}
			return d.Deny(ctx, who, in.ID, digest, in.Body.Note)
		})
	route(s, api, op("revoke", "POST", "/v1/requests/{id}/revoke", "Take access away"),
		func(ctx context.Context, who door.Caller, in noteInput) (writ.Request, error) {
			return d.Revoke(ctx, who, in.ID, in.Body.Note)
		})
	route(s, api, op("revoke-identity", "POST", "/v1/revocations", "Take away everything an identity has or asks for"),
		func(ctx context.Context, who door.Caller, in cutInput) (door.Page, error) {
			rs, err := d.RevokeIdentity(ctx, who, in.Body.Identity, in.Body.Note)
			return door.Page{Requests: rs}, err
		})
	route(s, api, op("meet", "POST", "/v1/conditions", "Say that an end condition has come true"),
		func(ctx context.Context, who door.Caller, in meetInput) (door.Page, error) {
			rs, err := d.Meet(ctx, who, in.Body.Condition)
			return door.Page{Requests: rs}, err
		})
}

// describing is about documents and callers.
func (s *server) describing(api huma.API) {
	d := s.Door
	route(s, api, op("documents", "GET", "/v1/documents", "Documents as they are now"),
		func(_ context.Context, _ door.Caller, in documentsInput) (Documents, error) {
			return Documents{d.Documents(in.Kind, in.Name)}, nil
		})
	route(s, api, op("put-documents", "PUT", "/v1/documents", "Change documents: all or none"),
		func(ctx context.Context, who door.Caller, in putInput) (Changes, error) {
			c, err := d.Put(ctx, who, in.Body)
			return Changes{c}, err
		})
	route(s, api, op("whoami", "GET", "/v1/whoami", "Who the token speaks for"),
		func(_ context.Context, who door.Caller, _ none) (writ.Party, error) { return who.Party, nil })
}

func (s *server) list(ctx context.Context, who door.Caller, in listInput) (door.Page, error) {
	return s.Door.List(ctx, who, door.Filter{
		Status: in.Status, Subject: in.Subject, Entitlement: in.Entitlement, Target: in.Target, Before: in.Before, Limit: in.Limit,
	})
}

// longestWait bounds a long poll.
const longestWait = time.Minute

func (s *server) wait(ctx context.Context, who door.Caller, in waitInput) (door.Dossier, error) {
	d, err := writ.ParseDuration(in.For)
	if err != nil {
		return door.Dossier{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, min(d.Std(), longestWait))
	defer cancel()
	return s.Door.Wait(ctx, who, in.ID, in.After, in.Until)
}
