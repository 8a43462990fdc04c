package writ

import "encoding/json"

type (
	// step is an event of a request's life. It cannot fail: history is not up
	// for debate.
	step interface {
		Body
		apply(*Request, Event)
	}
	kind struct {
		read  func([]byte) (Body, error)
		steps steps
	}
	steps map[Status]Status
)

// life is every kind of event in a request's life: how it is read, and from
// which status it leads to which.
var life = map[Kind]kind{
	"submitted":     {read[Submitted], steps{"": StatusPending}},
	"narrowed":      {read[Narrowed], steps{StatusPending: StatusPending}},
	"required":      {read[Required], steps{StatusPending: StatusPending}},
	"reminded":      {read[Reminded], steps{StatusPending: StatusPending}},
	"escalated":     {read[Escalated], steps{StatusPending: StatusPending}},
	"approved":      {read[Approved], steps{StatusPending: StatusPending}},
	"denied":        {read[Denied], steps{StatusPending: StatusDenied}},
	"withdrawn":     {read[Withdrawn], steps{StatusPending: StatusWithdrawn}},
	"lapsed":        {read[Lapsed], steps{StatusPending: StatusLapsed}},
	"authorized":    {read[Authorized], steps{StatusPending: StatusAuthorized}},
	"grant-begun":   {read[GrantBegun], steps{StatusAuthorized: StatusGranting, StatusGranting: StatusGranting}},
	"granted":       {read[Granted], steps{StatusGranting: StatusActive}},
	"grant-failed":  {read[GrantFailed], steps{StatusGranting: StatusGranting}},
	"claimed":       {read[Claimed], steps{StatusActive: StatusActive}},
	"rechecked":     {read[Rechecked], steps{StatusPending: StatusPending, StatusAuthorized: StatusAuthorized, StatusGranting: StatusGranting, StatusActive: StatusActive}},
	"ended":         {read[Ended], steps{StatusAuthorized: StatusRevoking, StatusGranting: StatusRevoking, StatusActive: StatusRevoking}},
	"revoke-begun":  {read[RevokeBegun], steps{StatusRevoking: StatusRevoking}},
	"revoked":       {read[Revoked], steps{StatusRevoking: StatusClosed}},
	"revoke-failed": {read[RevokeFailed], steps{StatusRevoking: StatusRevoking}},
	"strayed":       {read[Strayed], steps{StatusRevoking: StatusRevoking, StatusClosed: StatusRevoking}},
}

// others are the kinds that belong to no request.
var others = map[Kind]func([]byte) (Body, error){
	"opened":           read[Opened],
	"audit-committed":  read[AuditCommitted],
	"document-changed": read[Changed],
	"document-removed": read[Removed],
}

func read[B Body](data []byte) (Body, error) {
	var b B
	err := json.Unmarshal(data, &b)
	return b, err
}
