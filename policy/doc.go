// Package policy turns the text of policy documents and the facts of a request
// into a verdict, with reasons.
//
// A policy has guardrails, which all apply, and routes, the first of which
// that applies says who has to approve. No route is a no. docs/reference/policy.md
// describes the file.
//
// # What holds
//
// A verdict is a function of the query: no I/O, no clock, and the same bytes
// for the same query, unless a condition takes the keys of a map by their
// place. It fails closed: a text that does not compile, a condition that
// fails, costs too much or is not defined, a document that is gone, a stage
// without enough people, all deny and name the rule.
//
// The same rules are asked when a request is submitted, approved, granted and
// looked at again. What only matters while it is being asked for is whether
// the stages have enough people and whether its start is near enough.
//
// Nobody who is asked would approve for themselves: approvers are active humans
// that writ.Directory.Independent lets pass, and a stage has its quorum only of
// different people, whatever the number of their accounts.
//
// Conditions are expressions of CEL (cel.dev). They are checked against the
// types of the facts at load, and what they can cost is bounded then and when
// they run.
package policy
