package main

import (
	"embed"
	"encoding/json"
	"slices"

	"github.com/writhq/writ/internal/document"
)

// sample is the organisation of `writ serve --dev` and `writ demo`.
//
//go:embed sample/*.yaml
var sample embed.FS

// sampleDocuments returns its documents with the orders database as given: the
// sample's own where that is nil.
func sampleDocuments(ordersDB []byte) ([]json.RawMessage, error) {
	files := []string{"organisation.yaml", "policy.yaml", "billing-api.yaml"}
	if ordersDB == nil {
		files = append(files, "orders-db.issuer.yaml")
	}
	var out []json.RawMessage
	for _, name := range files {
		data, err := sample.ReadFile("sample/" + name)
		if err != nil {
			return nil, err
		}
		docs, err := document.Parse(name, data)
		if err != nil {
			return nil, err
		}
		out = append(out, docs...)
	}
	orders, err := document.Parse("orders-db.yaml", ordersDB)
	return slices.Concat(out, orders), err
}
