package exchange

import (
	"context"
	"errors"
	"slices"
	"strings"

	"sotesilta/consent"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// subjects checks that every client named is population identity, or a Patient the writer may see; an absent one and
// an unseen one are refused alike.
func (w *writing) subjects(ctx context.Context) error {
	for _, item := range w.draft.Items {
		if item.Doc == nil {
			continue
		}
		if err := w.know(ctx, item.Class.Clients); err != nil {
			return err
		}
		if err := namesItsClient(item); err != nil {
			return w.refuse(item, err)
		}
		// Who resolves a definition of ours by its canonical URL must find ours.
		if url := item.Doc.Text("url"); strings.HasPrefix(url, terms.Base) && (item.Before == nil || item.Before.Doc.Text("url") != url) {
			return w.refuse(item, Refuse(Unprocessable, "business-rule", item.Type+".url",
				"Canonical URLs of the gateway's own definitions are published by its operator."))
		}
		for _, client := range item.Class.Clients {
			if item.Type == "Patient" && client == item.ID {
				continue
			}
			known, err := w.subject(ctx, client)
			if err != nil {
				return err
			}
			if !known {
				return w.refuse(item, Refuse(Unprocessable, "business-rule", item.Type,
					"A Patient that this resource refers to is not known. Learn the client's id with POST Patient/$match."))
			}
		}
	}
	return nil
}

func (w *writing) subject(ctx context.Context, client string) (bool, error) {
	if item := w.draft.Find("Patient", client); item != nil {
		return item.Doc != nil, nil
	}
	row, err := w.snap.Get(ctx, "Patient", client)
	if errors.Is(err, store.ErrNotFound) {
		return false, w.decoy(ctx, w.snap, "Patient", w.record(Read, ""))
	}
	if err != nil {
		return false, unrecorded(err)
	}
	if row.Deleted {
		return false, nil
	}
	if row.Class.Register == consent.Identity {
		return true, nil
	}
	decision, _, err := w.sight(ctx, row)
	return err == nil && decision.Outcome == consent.Permitted, err
}

// namesItsClient refuses a resource whose subject is somebody that the gateway cannot tell although the sender could:
// given by identity code or name only, or by a urn that no entry of the transaction has. A contained Patient with an
// identity code is somebody given so, too. Such a row would lie in no client's log and under no client's ban. A subject on another server, or of another type (Group, Location), is kept as
// given and gives no rights; nobody at all is nobody's data (contract: "Identity, writing, labels").
func namesItsClient(item *Item) error {
	if impersonalType(item.Type) {
		return nil
	}
	for _, path := range subjectPaths(item.Type) {
		for _, subject := range item.Doc.All(path...) {
			if subject.Kind() != fhir.Object {
				continue
			}
			switch ref := subject.Text("reference"); fhir.ParseReference(ref).Kind {
			case fhir.RelativeReference, fhir.AbsoluteReference:
				continue
			case fhir.ContainedReference:
				if !slices.ContainsFunc(item.Doc.Get("contained").Items(), func(c *fhir.Value) bool {
					return "#"+fhir.ID(c) == ref && fhir.ResourceType(c) == "Patient" && identifies(c)
				}) {
					continue
				}
			}
			return Refuse(Unprocessable, "business-rule", item.Type+"."+strings.Join(path, "."),
				"Name the client as Patient/id of this gateway. Learn the id from identity code and name with POST Patient/$match.")
		}
	}
	return nil
}
