package exchange

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// maxConditionalReferences bounds the different conditional references of a transaction: each is a search.
const maxConditionalReferences = 100

// maxPatched bounds the bytes that the patches of one transaction make: a patch of a few bytes makes a resource of any
// size anew.
const maxPatched = 32 << 20

// errSeveral is the error of a condition that several visible rows meet.
var errSeveral = errors.New("exchange: several resources meet the condition")

// only finds the one row that meets a condition, among those that the caller may see. What is hidden takes no part:
// it neither is a match nor makes another ambiguous; nor does what is in gone, by Type/id. It answers nil when there is
// none, and errSeveral.
func (w *writing) only(ctx context.Context, condition *search.Query, gone map[string]bool) (*store.Found, *guard, error) {
	g := &guard{asker: w.asker}
	if only, bound := condition.Clients(); bound {
		g.only = only
	}
	query := *condition
	query.Count, query.Cursor, query.Includes, query.Total, query.Summary = 2+len(gone), "", nil, false, false
	found, err := w.snap.Search(ctx, &query, g)
	if err != nil {
		return nil, g, w.desk.failed(err)
	}
	matches := slices.DeleteFunc(found.Matches, func(m store.Found) bool { return gone[m.Type+"/"+m.ID] })
	switch len(matches) {
	case 0:
		return nil, g, nil
	case 1:
		match := &matches[0]
		match.Decision = covering(match.Decision, match.Row)
		if match.Decision.Outcome != consent.Permitted {
			return nil, g, unrecorded(errors.New("exchange: a match outside the decision on its class"))
		}
		return match, g, nil
	default:
		return nil, g, errSeveral
	}
}

// meant finds the row that an Update, Patch or Delete is about: by its id, or as the one visible match of its condition
// (FHIR R4 §§ 3.1.0.4.3, 3.1.0.6, 3.1.0.7.1). No match is refused, or passed over, as existing does with an absent row.
func (w *writing) meant(ctx context.Context, i int, item *Item, kind ErrorKind) error {
	op := w.ops[i]
	if op.Where == nil {
		return w.existing(ctx, i, item, kind)
	}
	match, _, err := w.only(ctx, op.Where, nil)
	if errors.Is(err, errSeveral) {
		return Refuse(Ambiguous, "multiple-matches", "", "Several resources meet the condition. Narrow it, or name the resource by its id.")
	}
	if err != nil {
		return err
	}
	if match == nil {
		rec := w.record(op.Interaction, item.Type)
		rec.Query, rec.Reason = op.Where.Raw, "absent: nothing that the caller may see meets the condition"
		return w.missing(i, item, kind, &rec)
	}
	if id := fhir.ID(op.Doc); id != "" && id != match.ID {
		return Refuse(Invalid, "invalid", item.Type+".id", "The resource's id is not that of the one that meets the condition.")
	}
	item.ID = match.ID
	return w.existing(ctx, i, item, kind)
}

// missing refuses an Op on a row that is not there for the caller, with the kind given; kind 0 answers a Delete that
// changes nothing. The attempt is recorded either way.
func (w *writing) missing(i int, item *Item, kind ErrorKind, rec *ledger.Record) error {
	switch kind {
	case 0:
		w.unseen = true
		w.outcome[i] = Written{Resource: Resource{Type: item.Type, ID: item.ID, Deleted: true}}
		w.records = append(w.records, rec)
		return nil
	case Absent:
		w.denial = rec
		return absent(item.Type, item.ID)
	}
	w.denial = rec
	what := item.Ref()
	if item.ID == "" {
		what = "What meets no condition"
	}
	return Refuse(kind, "not-supported", "", what+
		" cannot be updated: updates do not create resources here. Create it with POST "+item.Type+".")
}

// met makes of the match of a conditional create what its Op makes of it: a new version, under the law of an update, if
// changed. A refusal tells that the match is there, so the caller's sight of it is recorded.
func (w *writing) met(ctx context.Context, i int, item *Item, match *store.Found, g *guard, seen *Resource) (changed bool, _ error) {
	doc, err := fhir.Parse(seen.Body, fhir.DefaultLimits)
	if err != nil {
		return false, unrecorded(err)
	}
	next, err := w.ops[i].Meet(doc)
	if err != nil {
		rec := describe(w.record(Create, item.Ref()), match.Class, g.facts, match.Decision)
		rec.Row, rec.Reason = versioned(match.Row), "refused: what the condition of the create met is not to be changed by it"
		w.denial = &rec
		return false, err
	}
	if next == nil {
		return false, nil
	}
	if err := allowed(w.caller, item.Type, Update); err != nil {
		return false, err
	}
	if err := w.existing(ctx, i, item, NotAllowed); err != nil {
		return false, err
	}
	w.restore(item, next)
	if fhir.ResourceType(next) != item.Type || fhir.ID(next) != item.ID {
		return false, Refuse(Unprocessable, "business-rule", "", "A change alters neither resourceType nor id.")
	}
	if refusal := w.desk.unsound(next); refusal != nil {
		refusal.Kind = Unprocessable
		return false, refusal
	}
	item.Doc = next
	return true, nil
}

// restore puts into a new version of an item what is withheld of the current one, which stays as it is.
func (w *writing) restore(item *Item, next *fhir.Value) {
	for _, member := range w.withheld[item] {
		fhir.Restore(next, item.Before.Doc, member)
	}
}

// patched makes the new version of an item by the Op's patch of the current one. The patch sees what the caller may
// see, so that it can test nothing else; what is withheld from the caller stays as it is.
func (w *writing) patched(i int, item *Item) error {
	doc := item.Before.Doc.Clone()
	withheld := w.withheld[item]
	for _, member := range withheld {
		fhir.Withhold(doc, member)
	}
	var shown []byte
	if len(withheld) > 0 {
		shown = doc.JSON()
	}
	doc, err := w.ops[i].Patch(doc)
	if err != nil {
		return err
	}
	if fhir.ResourceType(doc) != item.Type || fhir.ID(doc) != item.ID {
		return Refuse(Unprocessable, "business-rule", "", "A patch changes neither resourceType nor id.")
	}
	if shown != nil && bytes.Equal(doc.JSON(), shown) { // to the letter, in the order in which it is kept
		w.untouched[item], doc = true, item.Before.Doc.Clone()
	}
	w.restore(item, doc)
	// Read again as what comes in is read: the patched resource keeps the bounds of a document.
	text := doc.JSON()
	if w.patchedBytes += len(text); w.patchedBytes > maxPatched {
		return Refuse(TooCostly, "too-costly", item.Type, "What the patches of a transaction make is longer than "+strconv.Itoa(maxPatched>>20)+" MB together.")
	}
	if doc, err = fhir.Parse(text, fhir.DefaultLimits); err != nil {
		return Refuse(Unprocessable, "too-costly", item.Type, "The patched resource is larger or deeper than a resource may be.")
	}
	if refusal := w.desk.unsound(doc); refusal != nil {
		refusal.Kind = Unprocessable // the patch is well formed, what it makes is not
		return refusal
	}
	item.Doc = doc
	return nil
}
