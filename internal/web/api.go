package web

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writhq/writ"
	"github.com/writhq/writ/audit"
	"github.com/writhq/writ/evidence"
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
	approveInput struct {
		Decision
		Body *struct {
			Evidence writ.Evidence `json:"evidence,omitzero" doc:"that it is the caller's own yes, where the stage wants more than a session"`
		}
	}
	challengeInput struct {
		One
		Body struct {
			Decision writ.Decision `json:"decision,omitempty" enum:"approve" default:"approve"`
		}
	}
	enrolInput struct {
		Repeatable
		Body door.Enrolment
	}
	keyInput struct {
		Repeatable
		Name string `path:"name" example:"ssh-0123456789abcdef"`
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
	evidenceInput struct {
		One
		Texts bool `query:"texts" doc:"with the free texts, which the ledger has only commitments of"`
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
	nonceInput struct {
		Repeatable
		Body struct {
			Hash writ.Digest `json:"hash" doc:"SHA-256 of the auditor's nonce" example:"sha256:…"`
		}
	}
	putInput struct {
		Repeatable
		Body door.Put
	}
	documentsInput struct {
		Signed
		Kind string `query:"kind" enum:"entitlement,group,identity,key,policy,target"`
		Name string `query:"name"`
	}

	// Documents are documents as they are now.
	Documents struct {
		Documents []writ.Document `json:"documents"`
	}
	// Keys are the caller's.
	Keys struct {
		Keys []writ.Key `json:"keys"`
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
	s.approving(api)
	s.signing(api)
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
	route(s, api, op("evidence", "GET", "/v1/requests/{id}/evidence", "What shows anybody, offline, what became of a request"),
		func(ctx context.Context, who door.Caller, in evidenceInput) (evidence.File, error) {
			return d.Evidence(ctx, who, in.ID, in.Texts)
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
		func(ctx context.Context, who door.Caller, in approveInput) (writ.Request, error) {
			digest, err := seen(in.IfMatch)
			if err != nil {
				return writ.Request{}, err
			}
			if in.Body == nil {
				return d.Approve(ctx, who, in.ID, digest)
			}
			return d.ApproveWith(ctx, who, in.ID, digest, in.Body.Evidence)
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

// signing is about keys, and what is signed with them.
func (s *server) signing(api huma.API) {
	d := s.Door
	route(s, api, op("challenge", "POST", "/v1/requests/{id}/challenge", "What the caller signs to say yes"),
		func(ctx context.Context, who door.Caller, in challengeInput) (door.Challenge, error) {
			return d.Challenge(ctx, who, in.ID, in.Body.Decision)
		})
	route(s, api, op("keys", "GET", "/v1/keys", "The caller's keys"),
		func(_ context.Context, who door.Caller, _ none) (Keys, error) { return Keys{d.Keys(who)}, nil })
	route(s, api, op("enrol-challenge", "POST", "/v1/keys/challenge", "What the caller signs to enrol a key"),
		func(ctx context.Context, who door.Caller, _ none) (door.Challenge, error) {
			return d.EnrolChallenge(ctx, who)
		})
	route(s, api, created(op("enrol", "POST", "/v1/keys", "Enrol a key of the caller")),
		func(ctx context.Context, who door.Caller, in enrolInput) (writ.Key, error) {
			return d.Enrol(ctx, who, in.Body)
		})
	route(s, api, op("disenrol", "DELETE", "/v1/keys/{name}", "Take a key away; answers with the caller's keys that are left"),
		func(ctx context.Context, who door.Caller, in keyInput) (Keys, error) {
			err := d.Disenrol(ctx, who, in.Name)
			return Keys{d.Keys(who)}, err
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
	route(s, api, op("commit-nonce", "POST", "/v1/audit/commitments", "Put the hash of an auditor's nonce on record"),
		func(ctx context.Context, who door.Caller, in nonceInput) (audit.Commitment, error) {
			return d.CommitNonce(ctx, who, in.Body.Hash)
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
