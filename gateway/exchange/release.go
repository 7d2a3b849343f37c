package exchange

import (
	"sotesilta/consent"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// covering narrows a decision on a class to one of its rows: what it rests on, or why it may not leave.
func covering(decision *consent.Decision, row store.Row) *consent.Decision {
	if row.Class.Register == "" {
		return &consent.Decision{Reason: "unlabelled data never leave"}
	}
	return decision.For(row.Type+"/"+row.ID, row.Recorded)
}

// permits says whether a decision on a class lets this row of it leave.
func permits(decision *consent.Decision, row store.Row) bool {
	return covering(decision, row).Outcome == consent.Permitted
}

// released is a row as it may leave, without the members that the decision withholds.
func released(row store.Row, decision *consent.Decision) (*Resource, error) {
	out := &Resource{
		Type: row.Type, ID: row.ID, Version: row.Version, Updated: row.Updated,
		Deleted: row.Deleted, Method: row.Method, Body: row.Body, Disclosed: decision.Disclosure,
	}
	if len(decision.Redact) == 0 || row.Deleted {
		return out, nil
	}
	doc, err := fhir.Parse(row.Body, fhir.DefaultLimits)
	if err != nil {
		return nil, unrecorded(err)
	}
	for _, member := range decision.Redact {
		fhir.Withhold(doc, member)
	}
	out.Body = doc.AppendJSON(nil)
	return out, nil
}

func gone(row store.Row) *Error {
	return Refuse(Gone, "deleted", "", row.Type+"/"+row.ID+" was deleted.")
}
