package exchange

import (
	"context"
	"errors"
	"strconv"

	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

// links are what the entries of a transaction became, by the fullUrl that the others refer to them by.
type links map[string]link

type link struct {
	to      string // Type/id
	version int64
}

// add keeps what an entry became, unless another has the same fullUrl. A URN names an entry whatever it asks for; the URL
// of a server names one that is created, which gets another address here (FHIR R4 § 3.1.0.11.2), and otherwise goes on
// naming what it named.
func (l links) add(op Op, to string, version int64) bool {
	if op.FullURL == "" || op.Interaction != Create && fhir.ParseReference(op.FullURL).Kind != fhir.URNReference {
		return true
	}
	if _, double := l[op.FullURL]; double {
		return false
	}
	l[op.FullURL] = link{to, max(version, 1)}
	return true
}

// find is what a reference of the entry with the fullUrl from becomes, "" where it refers to none of the entries. A relative
// one is of the server that from is of, and one of a version stays so (§ 2.36.4.1, § 3.1.0.11.2).
func (l links) find(text, from string) string {
	if to, ok := l[text]; ok {
		return to.to
	}
	ref := fhir.ParseReference(text)
	base := ref.URL
	if ref.Kind == fhir.RelativeReference {
		own := fhir.ParseReference(from)
		if own.Kind != fhir.AbsoluteReference {
			return ""
		}
		base = own.URL
	}
	to, ok := l[base+"/"+ref.Type+"/"+ref.ID]
	switch {
	case !ok || ref.Fragment != "":
		return ""
	case ref.Version != "":
		return to.to + "/_history/" + strconv.FormatInt(to.version, 10)
	}
	return to.to
}

// references resolves those of a resource of a transaction, whose entry has the fullUrl from: those to other entries become
// references to what the entries made, and conditional ones to what they find.
func (w *writing) references(ctx context.Context, doc *fhir.Value, from string, links links) error {
	for ref := range fhir.References(doc) {
		if len(links) > 0 {
			if to := links.find(ref.Text(), from); to != "" {
				ref.Set(to)
				continue
			}
		}
		switch to := ref.Parse(); {
		case to.Kind == fhir.ConditionalReference:
			found, err := w.referred(ctx, ref, to)
			if err != nil {
				return err
			}
			ref.Set(found)
		case to.Kind == fhir.URNReference && ref.OfReference():
			return dangling(ref)
		}
	}
	if len(links) > 0 {
		fhir.RewriteLinks(doc, func(urn string) (string, bool) {
			to, ok := links[urn]
			return to.to, ok
		})
	}
	return nil
}

// dangling refuses a reference to an entry that is not there. A urn:uuid or urn:oid means an entry of the same Bundle
// and nothing outside it (FHIR R4 § 2.36.4), so that kept it could never be followed by anybody: what was to be linked
// would be lost in silence. It depends on no row.
func dangling(ref fhir.Ref) *Error {
	return Refuse(Unprocessable, "not-found", ref.Expression(),
		"No entry with a change in the same transaction has the fullUrl that this reference names. Outside a transaction, refer by Type/id.")
}

// referred resolves a conditional reference (FHIR R4 § 3.1.0.11.2) to Type/id: the one resource, among those that the
// caller may see and that were there before the transaction, that meets its query. What the transaction deletes is no
// target: the reference would lead to nothing. An unseen target is refused exactly as an absent one.
func (w *writing) referred(ctx context.Context, ref fhir.Ref, to fhir.Reference) (string, error) {
	if known, ok := w.referrals[ref.Text()]; ok {
		return known, nil
	}
	if len(w.referrals) == maxConditionalReferences {
		return "", Refuse(TooCostly, "too-costly", ref.Expression(), "A transaction has at most "+
			strconv.Itoa(maxConditionalReferences)+" different conditional references.")
	}
	condition, err := w.desk.conditionOf(to)
	if err != nil {
		return "", Refuse(Invalid, "invalid", ref.Expression(), "The conditional reference is no search that narrows: "+err.Error())
	}
	match, g, err := w.only(ctx, condition, w.gone)
	switch {
	case errors.Is(err, errSeveral):
		return "", Refuse(Ambiguous, "multiple-matches", ref.Expression(), "Several resources meet the query of the conditional reference.")
	case err != nil:
		return "", err
	case match == nil:
		return "", Refuse(Ambiguous, "not-found", ref.Expression(), "Nothing that you may see meets the query of the conditional reference.")
	}
	w.matched(*match, g)
	if w.referrals == nil {
		w.referrals = map[string]string{}
	}
	w.referrals[ref.Text()] = match.Type + "/" + match.ID
	return w.referrals[ref.Text()], nil
}

// conditionOf reads the query of a conditional reference, strictly: an ignored parameter would point at others.
func (d *Desk) conditionOf(to fhir.Reference) (*search.Query, error) {
	pairs, err := search.Pairs(to.Query)
	if err != nil {
		return nil, err
	}
	opt := search.Options{Now: d.clock()}
	if len(d.bases) > 0 {
		opt.Base = d.bases[0]
	}
	q, err := search.Parse(to.Type, pairs, opt)
	if err == nil && len(q.Where) == 0 {
		err = errors.New("it names no parameter")
	}
	return q, err
}
