package openbao

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/writhq/writ/connector/openbao/rest"
)

// A state is what the server says of itself.
type state struct {
	Initialized bool   `json:"initialized"`
	Sealed      bool   `json:"sealed"`
	Cluster     string `json:"cluster_id"`
	Seconds     int64  `json:"server_time_utc"`
}

// state asks the server. Whatever the status, which tells the part of a node in
// its cluster, the answer is the same.
func (s *server) state(ctx context.Context) (state, error) {
	_, data, err := s.client.Send(ctx, "", http.MethodGet, rest.Health, nil)
	if err != nil {
		return state{}, err
	}
	var is state
	switch {
	case json.Unmarshal(data, &is) != nil:
		return is, errors.New("what answers is neither OpenBao nor Vault; see where address leads")
	case !is.Initialized:
		return is, errors.New("the server is not initialized; see where address leads")
	case is.Sealed:
		return is, errors.New("the server is sealed; unseal it")
	case is.Cluster == "":
		return is, errors.New("the server does not say which cluster it is of; look at sys/health")
	}
	return is, nil
}

// clock is the server's, which it tells in whole seconds: it may be that much later.
func (is state) clock() time.Time { return time.Unix(is.Seconds, 0) }

// instance is the number a cluster gets when it is initialized; tokens, policies and
// entities are those of a namespace in it.
func (s *server) instance(is state) string {
	if s.namespace == "" {
		return "cluster " + is.Cluster
	}
	return "cluster " + is.Cluster + " namespace " + s.namespace
}

// Instance returns which cluster, and which namespace of it, this is.
func (s *server) Instance(ctx context.Context) (string, error) {
	is, err := s.state(ctx)
	if err != nil {
		return "", fault(ctx, "ask which cluster this is", err)
	}
	return s.instance(is), nil
}

// at sees that this is where the order must be done.
func (s *server) at(ctx context.Context, o order) (state, error) {
	is, err := s.state(ctx)
	if err != nil {
		return is, err
	}
	if here := s.instance(is); o.Instance != "" && o.Instance != here {
		return is, fmt.Errorf("this is %s, but the order is for %s; point the target's configuration to that one", here, o.Instance)
	}
	return is, nil
}
