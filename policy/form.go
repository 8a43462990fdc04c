package policy

import "github.com/writhq/writ/policy/internal/source"

// The form of a policy file. Every value is a text with its place, so that
// whatever is wrong with it can be shown where it stands.
type (
	document struct {
		Kind       source.Text   `yaml:"kind"`
		Name       source.Text   `yaml:"name"`
		Authority  source.Node   `yaml:"authority"`
		Guardrails []source.Node `yaml:"guardrails"`
		Routes     []source.Node `yaml:"routes"`
		Tests      []source.Node `yaml:"tests"`
	}
	authorityForm struct {
		Administer []source.Text `yaml:"administer"`
		Revoke     []source.Text `yaml:"revoke"`
		Audit      []source.Text `yaml:"audit"`
	}
	guardrailForm struct {
		Name      source.Text   `yaml:"name"`
		When      source.Text   `yaml:"when"`
		Deny      source.Text   `yaml:"deny"`
		Conflicts []source.Text `yaml:"conflicts"`
		MaxFor    source.Text   `yaml:"maxFor"`
		Require   source.Node   `yaml:"require"`
	}
	routeForm struct {
		Name        source.Text   `yaml:"name"`
		When        source.Text   `yaml:"when"`
		MaxFor      source.Text   `yaml:"maxFor"`
		DecideIn    source.Text   `yaml:"decideIn"`
		StartWithin source.Text   `yaml:"startWithin"`
		Require     source.Node   `yaml:"require"`
		Ends        []source.Text `yaml:"ends"`
		Automatic   source.Text   `yaml:"automatic"`
		Witnessed   source.Text   `yaml:"witnessed"`
		Stages      []source.Node `yaml:"stages"`
	}
	requireForm struct {
		Justification source.Text            `yaml:"justification"`
		Ticket        source.Text            `yaml:"ticket"`
		Ends          []source.Text          `yaml:"ends"`
		Scope         map[string]source.Text `yaml:"scope"`
		Sealed        source.Text            `yaml:"sealed"`
		MaxFor        source.Text            `yaml:"maxFor"`
	}
	stageForm struct {
		Name      source.Text   `yaml:"name"`
		Quorum    source.Text   `yaml:"quorum"`
		Approvers []source.Node `yaml:"approvers"`
		Proof     source.Text   `yaml:"proof"`
		KeyAge    source.Text   `yaml:"keyAge"`
		MemberAge source.Text   `yaml:"memberAge"`
		Repeat    source.Text   `yaml:"repeat"`
		Hours     source.Node   `yaml:"hours"`
		Remind    source.Text   `yaml:"remind"`
		Escalate  source.Node   `yaml:"escalate"`
	}
	hoursForm struct {
		Zone source.Text   `yaml:"zone"`
		Days []source.Text `yaml:"days"`
		From source.Text   `yaml:"from"`
		To   source.Text   `yaml:"to"`
	}
	escalateForm struct {
		After     source.Text   `yaml:"after"`
		Approvers []source.Node `yaml:"approvers"`
	}
	approverForm struct {
		ManagerOf source.Text `yaml:"manager-of"`
		OwnerOf   source.Text `yaml:"owner-of"`
		Group     source.Text `yaml:"group"`
		Identity  source.Text `yaml:"identity"`
	}
	testForm struct {
		Name    source.Text `yaml:"name"`
		Request source.Node `yaml:"request"`
		Expect  source.Node `yaml:"expect"`
	}
	requestForm struct {
		Requester   source.Text            `yaml:"requester"`
		Subject     source.Text            `yaml:"subject"`
		Entitlement source.Text            `yaml:"entitlement"`
		Scope       map[string]source.Text `yaml:"scope"`
		For         source.Text            `yaml:"for"`
		Ticket      source.Text            `yaml:"ticket"`
		Why         source.Text            `yaml:"why"`
		Ends        []source.Text          `yaml:"ends"`
		Sealed      source.Text            `yaml:"sealed"`
		StartAt     source.Text            `yaml:"startAt"`
		StartBy     source.Text            `yaml:"startBy"`
		At          source.Text            `yaml:"at"`
		Live        []source.Text          `yaml:"live"`
	}
	expectForm struct {
		Allowed source.Text              `yaml:"allowed"`
		Route   source.Text              `yaml:"route"`
		Because source.Text              `yaml:"because"`
		MaxFor  source.Text              `yaml:"maxFor"`
		Stages  map[string][]source.Text `yaml:"stages"`
	}
)
