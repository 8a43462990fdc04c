package auth

import (
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/writhq/writ"
)

// A forge is an issuer of pipeline or workload tokens, as GitHub, GitLab and
// Kubernetes shape them, with one token that is rightly accepted.
type forge struct {
	*provider
	key    key
	holder writ.Ref
	good   fields
}

func (f *forge) token(now time.Time, more fields) string {
	all := maps.Clone(f.good)
	maps.Copy(all, more)
	return f.key.token(f.claims(now, all))
}

func newGitHub(t *testing.T) *forge {
	return &forge{newProvider(t, rsaKey), rsaKey, "service/shop-deploy", fields{
		"sub":        "repo:acme@9001/shop@1234:environment:production",
		"repository": "acme/shop", "repository_id": "1234", "repository_owner": "acme", "repository_owner_id": "9001",
		"repository_visibility": "private", "event_name": "push", "ref": "refs/heads/main", "ref_type": "branch", "ref_protected": "true",
		"environment": "production", "workflow": "deploy", "actor": "ann", "actor_id": "77", "head_ref": "", "base_ref": "",
		"job_workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/main", "runner_environment": "github-hosted",
		"run_id": "5150", "run_number": "12", "run_attempt": "1", "sha": "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d",
	}}
}

func newGitLab(t *testing.T) *forge {
	return &forge{newProvider(t, rsaKey2), rsaKey2, "service/pay-deploy", fields{
		"sub":          "project_path:acme/pay:ref_type:branch:ref:main",
		"namespace_id": "72", "namespace_path": "acme", "project_id": "20", "project_path": "acme/pay",
		"job_namespace_id": "72", "job_project_id": "20", "job_project_path": "acme/pay",
		"user_id": "1", "user_login": "ann", "pipeline_id": "574", "pipeline_source": "push", "job_id": "302",
		"ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
		"environment": "production", "environment_protected": "true", "deployment_tier": "production", "runner_environment": "self-hosted",
		"ci_config_ref_uri": "gitlab.example.com/acme/pay//.gitlab-ci.yml@refs/heads/main",
	}}
}

func kubernetes(namespace, name, uid string) fields {
	return fields{
		"namespace": namespace, "serviceaccount": fields{"name": name, "uid": uid},
		"pod": fields{"name": "billing-66d5c8d7-abcde", "uid": "5a3c1b0e-0000-4000-8000-00000000000a"},
	}
}

const billing = "f3a9e2d1-0000-4000-8000-000000000001" // UID of the service account

func newKubernetes(t *testing.T) *forge {
	return &forge{newProvider(t, ecKey), ecKey, "workload/billing", fields{
		"sub": "system:serviceaccount:prod:billing", "aud": []string{audience}, "jti": "a1",
		"kubernetes.io": kubernetes("prod", "billing", billing),
	}}
}

// howTo is what operators are told to write; its documents are tested here.
const howTo = "../../docs/howto/federate-a-pipeline.md"

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(kind: identity\n.*?)^```$")

// documented returns the identities of the how-to, with the issuers of this test.
func documented(t *testing.T, gh, gl, k8s *forge) []writ.Document {
	t.Helper()
	text := strings.NewReplacer("https://token.actions.githubusercontent.com", gh.URL,
		"https://gitlab.example.com", gl.URL, "https://kubernetes.example.com", k8s.URL).Replace(string(must(os.ReadFile(howTo))))
	var docs []writ.Document
	for _, block := range yamlBlock.FindAllStringSubmatch(text, -1) {
		doc, err := writ.ParseDocument(must(yaml.YAMLToJSON([]byte(block[1]))))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, doc)
	}
	return docs
}

// traps stand beside the documented identities.
func traps(gh, gl, k8s *forge) []writ.Document {
	return []writ.Document{
		// Patterns are no patterns here: they match nobody but themselves.
		identity("service/wildcard", writ.Account{Issuer: gh.URL, Subject: "repo:acme/*"}, writ.Account{Issuer: gl.URL, Subject: "project_path:acme/*:*"},
			writ.Account{Issuer: k8s.URL, Subject: "system:serviceaccount:prod:*"}, writ.Account{Issuer: gh.URL, Subject: "*"}),
		// Two of one account: neither is meant.
		identity("service/twin-a", writ.Account{Issuer: gh.URL, Claims: map[string]string{"repository_id": "4321"}}),
		identity("service/twin-b", writ.Account{Issuer: gh.URL, Claims: map[string]string{"repository_owner_id": "4320"}}),
		with("disabled", identity("service/stopped", writ.Account{Issuer: gl.URL, Claims: map[string]string{"project_id": "30"}})),
		with("retired", identity("workload/gone", writ.Account{Issuer: k8s.URL, Subject: "system:serviceaccount:prod:gone"})),
	}
}

// TestFederation: of every issuer one token is accepted, and none of those that
// differ from it in what somebody else could get.
func TestFederation(t *testing.T) {
	gh, gl, k8s := newGitHub(t), newGitLab(t), newKubernetes(t)
	s := newServer(t, []Issuer{trust(gh.provider), trust(gl.provider), trust(k8s.provider)}, append(documented(t, gh, gl, k8s), traps(gh, gl, k8s)...)...)
	other := newKubernetes(t) // of another cluster, which nobody configured
	refused := 0
	for _, f := range []struct {
		*forge
		corpus map[string]fields
	}{{gh, gitHubCorpus(s.now(), gl)}, {gl, gitLabCorpus(s.now())}, {k8s, kubernetesCorpus(s.now(), other)}} {
		s.accepts(t, f.token(s.now(), nil), f.holder)
		for name, more := range f.corpus {
			t.Run(string(f.holder)+"/"+name, func(t *testing.T) {
				s.refuses(t, f.token(s.now(), more), writ.Unauthenticated)
			})
			refused++
		}
		s.accepts(t, f.token(s.now(), nil), f.holder)
	}
	s.refuses(t, other.token(s.now(), nil), writ.Unauthenticated)
	if refused < 60 {
		t.Errorf("only %d tokens; the corpus has at least 60", refused)
	}
}

func gitHubCorpus(now time.Time, gl *forge) map[string]fields {
	return map[string]fields{
		"audience and nothing else": {"repository_id": nil, "repository_owner_id": nil, "environment": nil, "event_name": nil, "ref": nil, "job_workflow_ref": nil},
		"default audience":          {"aud": "https://github.com/acme"},
		"audience of aws":           {"aud": "sts.amazonaws.com"},
		"ours and that of aws":      {"aud": []string{audience, "sts.amazonaws.com"}},
		"any audience":              {"aud": "*"},
		"no audience":               {"aud": nil},
		"no audience in a list":     {"aud": []string{}},

		"repository made again":               {"repository_id": "5678", "sub": "repo:acme@9001/shop@5678:environment:production"},
		"owner made again":                    {"repository_owner_id": "9002", "repository_id": "5678"},
		"owner made again, id kept":           {"repository_owner_id": "9002"},
		"old subject form, recycled":          {"sub": "repo:acme/shop:environment:production", "repository_id": "5678", "repository_owner_id": "9002"},
		"another repository":                  {"repository": "acme/blog", "repository_id": "77"},
		"repository by name alone":            {"repository_id": nil},
		"owner by name alone":                 {"repository_owner_id": nil},
		"repository_id any":                   {"repository_id": "*"},
		"repository_id longer":                {"repository_id": "12345"},
		"repository_id shorter":               {"repository_id": "123"},
		"repository_id with zero":             {"repository_id": "01234"},
		"repository_id with space":            {"repository_id": "1234 "},
		"repository_id a fraction":            {"repository_id": 1234.5},
		"repository_id in a list":             {"repository_id": []string{"1234"}},
		"repository_id an object":             {"repository_id": fields{"id": "1234"}},
		"repository_id null":                  {"repository_id": nil, "Repository_id": "1234"},
		"repository_id within":                {"repository_id": nil, "repository": fields{"id": "1234"}},
		"pull request":                        {"event_name": "pull_request", "ref": "refs/pull/7/merge", "head_ref": "evil", "base_ref": "main"},
		"pull request on the same ref":        {"event_name": "pull_request"},
		"pull_request_target":                 {"event_name": "pull_request_target"},
		"issue_comment":                       {"event_name": "issue_comment"},
		"workflow_run":                        {"event_name": "workflow_run"},
		"workflow_dispatch":                   {"event_name": "workflow_dispatch"},
		"no event":                            {"event_name": nil},
		"another branch":                      {"ref": "refs/heads/evil"},
		"branch of a like name":               {"ref": "refs/heads/main2"},
		"tag called main":                     {"ref": "refs/tags/main", "ref_type": "tag"},
		"ref in capitals":                     {"ref": "refs/heads/MAIN"},
		"no environment":                      {"environment": nil},
		"environment in capitals":             {"environment": "Production"},
		"another environment":                 {"environment": "staging"},
		"another workflow":                    {"job_workflow_ref": "acme/shop/.github/workflows/test.yml@refs/heads/main"},
		"workflow of a branch":                {"job_workflow_ref": "acme/shop/.github/workflows/deploy.yml@refs/heads/evil"},
		"workflow of others":                  {"job_workflow_ref": "evil/shop/.github/workflows/deploy.yml@refs/heads/main"},
		"issuer of an enterprise":             {"iss": "https://token.actions.githubusercontent.com/acme"},
		"issuer with a slash":                 {"iss": gl.URL + "/"},
		"signed here, said to be gitlab":      {"iss": gl.URL},
		"gitlab's claims from here":           gitLabSaid(gl),
		"issued 11 minutes ago":               {"iat": now.Add(-11 * time.Minute).Unix(), "exp": now.Add(time.Hour).Unix()},
		"matches two identities":              {"repository_id": "4321", "repository_owner_id": "4320"},
		"subject that is a pattern's example": {"sub": "repo:acme/blog:ref:refs/heads/main", "repository_id": "77"},
	}
}

// gitLabSaid is everything GitLab says of its pipeline, said by another issuer.
func gitLabSaid(gl *forge) fields {
	said := maps.Clone(gl.good)
	said["repository_id"] = nil
	return said
}

func gitLabCorpus(now time.Time) map[string]fields {
	return map[string]fields{
		"audience and nothing else":    {"project_id": nil, "job_project_id": nil, "namespace_id": nil, "ref_protected": nil, "pipeline_source": nil, "environment": nil, "ci_config_ref_uri": nil},
		"audience of vault":            {"aud": "https://vault.example.com"},
		"ours and that of vault":       {"aud": []string{"https://vault.example.com", audience}},
		"project made again":           {"project_id": "21", "job_project_id": "21"},
		"namespace made again":         {"namespace_id": "73"},
		"both made again":              {"project_id": "21", "job_project_id": "21", "namespace_id": "73"},
		"another project":              {"sub": "project_path:acme/blog:ref_type:branch:ref:main", "project_path": "acme/blog", "project_id": "22", "job_project_id": "22"},
		"fork's merge request":         {"project_id": "99", "job_project_id": "20", "pipeline_source": "merge_request_event", "sub": "project_path:eve/pay:ref_type:branch:ref:main"},
		"fork's own pipeline":          {"project_id": "20", "job_project_id": "99"},
		"before job claims were added": {"job_project_id": nil},
		"merge request":                {"pipeline_source": "merge_request_event"},
		"trigger by others":            {"pipeline_source": "trigger"},
		"branch not protected":         {"ref_protected": "false"},
		"not protected, as a boolean":  {"ref_protected": false},
		"protected, in other words":    {"ref_protected": "yes"},
		"no word on protection":        {"ref_protected": nil},
		"another branch":               {"sub": "project_path:acme/pay:ref_type:branch:ref:evil", "ref": "evil"},
		"tag of the same name":         {"sub": "project_path:acme/pay:ref_type:tag:ref:main", "ref_type": "tag"},
		"subject any":                  {"sub": "project_path:acme/*:ref_type:branch:ref:main"},
		"subject of a subgroup":        {"sub": "project_path:acme/pay/x:ref_type:branch:ref:main"},
		"configuration of others":      {"ci_config_ref_uri": "gitlab.example.com/eve/ci//deploy.yml@refs/heads/main"},
		"environment of a review":      {"environment": "review/7"},
		"disabled identity":            {"project_id": "30"},
		"issued before lunch":          {"iat": now.Add(-3 * time.Hour).Unix(), "exp": now.Add(time.Hour).Unix()},
	}
}

func kubernetesCorpus(now time.Time, other *forge) map[string]fields {
	return map[string]fields{
		"audience and nothing else":        {"kubernetes.io": nil},
		"default audience":                 {"aud": []string{"https://kubernetes.default.svc.cluster.local"}},
		"ours and the default audience":    {"aud": []string{"https://kubernetes.default.svc.cluster.local", audience}},
		"account made again":               {"kubernetes.io": kubernetes("prod", "billing", "f3a9e2d1-0000-4000-8000-000000000002")},
		"namespace made again":             {"kubernetes.io": kubernetes("prod", "billing", "0b0b0b0b-0000-4000-8000-000000000003")},
		"uid unknown":                      {"kubernetes.io": kubernetes("prod", "billing", "")},
		"another namespace":                {"sub": "system:serviceaccount:test:billing", "kubernetes.io": kubernetes("test", "billing", "f3a9e2d1-0000-4000-8000-000000000004")},
		"another namespace, same uid":      {"kubernetes.io": kubernetes("test", "billing", billing)},
		"another account":                  {"sub": "system:serviceaccount:prod:web", "kubernetes.io": kubernetes("prod", "web", "f3a9e2d1-0000-4000-8000-000000000005")},
		"subject of another, uid of ours":  {"sub": "system:serviceaccount:prod:web"},
		"default account":                  {"sub": "system:serviceaccount:prod:default", "kubernetes.io": kubernetes("prod", "default", "f3a9e2d1-0000-4000-8000-000000000006")},
		"subject any":                      {"sub": "system:serviceaccount:*:*"},
		"uid with dots at the top":         {"kubernetes.io": nil, "kubernetes.io.serviceaccount.uid": billing, "kubernetes.io.namespace": "prod"},
		"uid as a pointer at the top":      {"kubernetes.io": nil, "/kubernetes.io/serviceaccount/uid": billing, "/kubernetes.io/namespace": "prod"},
		"uid under one joined name":        {"kubernetes.io": fields{"namespace": "prod", "serviceaccount/uid": billing}},
		"uid of the pod":                   {"kubernetes.io": fields{"namespace": "prod", "pod": fields{"uid": billing}}},
		"account in a list":                {"kubernetes.io": fields{"namespace": "prod", "serviceaccount": []fields{{"name": "billing", "uid": billing}}}},
		"claims as text":                   {"kubernetes.io": `{"namespace":"prod","serviceaccount":{"uid":"` + billing + `"}}`},
		"names split at the dot":           {"kubernetes.io": nil, "kubernetes": fields{"io": kubernetes("prod", "billing", billing)}},
		"legacy secret without an end":     {"exp": nil, "iat": nil, "nbf": nil, "iss": "kubernetes/serviceaccount", "aud": nil, "kubernetes.io": nil, "kubernetes.io/serviceaccount/service-account.uid": billing},
		"another cluster's name":           {"iss": other.URL},
		"bound for a year, a month old":    {"iat": now.Add(-30 * 24 * time.Hour).Unix(), "exp": now.Add(300 * 24 * time.Hour).Unix()},
		"expired with its pod":             {"exp": now.Unix()},
		"retired identity":                 {"sub": "system:serviceaccount:prod:gone"},
		"a user, not a service account":    {"sub": "billing"},
		"a node":                           {"sub": "system:node:billing", "kubernetes.io": fields{"node": fields{"name": "billing", "uid": billing}}},
		"account in another cluster's map": {"kubernetes.io": nil, "kubernetes.example": kubernetes("prod", "billing", billing)},
	}
}
