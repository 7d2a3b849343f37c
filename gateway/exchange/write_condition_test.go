package exchange_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// labelled is an observation with an identifier.
func labelled(client, day, identifier string) string {
	return strings.Replace(observation(client, day), `"status"`, `"identifier":[{"system":"https://v.example","value":"`+identifier+`"}],"status"`, 1)
}

func setting(member, value string) func(*fhir.Value) (*fhir.Value, error) {
	return func(doc *fhir.Value) (*fhir.Value, error) {
		doc.Set(member, fhir.NewString(value))
		return doc, nil
	}
}

// Conditions match what the caller may see and nothing else: what is hidden is no match and makes no other ambiguous.
func TestConditionsMatchWhatTheCallerSees(t *testing.T) {
	w := newWorld(t)
	mine := w.put(nurse, labelled("aino", "2026-01-01", "a"))
	w.put(nurse, labelled("aino", "2026-01-02", "b"))
	w.put(nurse, labelled("aino", "2026-01-03", "b"))
	hidden := w.put(worker, labelled("aino", "2026-01-04", "a")) // social: not the nurse's to see
	w.put(worker, labelled("aino", "2026-01-05", "c"))
	ops := func(identifier string) map[exchange.Interaction]exchange.Op {
		where := query(t, "Observation", "identifier=https://v.example|"+identifier)
		return map[exchange.Interaction]exchange.Op{
			exchange.Update: {Interaction: exchange.Update, Type: "Observation", Where: where, Doc: doc(t, labelled("aino", "2026-01-31", identifier))},
			exchange.Patch:  {Interaction: exchange.Patch, Type: "Observation", Where: where, Patch: setting("valueString", "patched")},
			exchange.Delete: {Interaction: exchange.Delete, Type: "Observation", Where: where},
		}
	}
	for i, op := range ops("b") {
		commits := w.records(func() {
			_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{op})
			require.Equal(t, exchange.Ambiguous, kind(err), i)
		})
		require.Len(t, flat(commits), 1, i)
		require.Contains(t, flat(commits)[0].Query, "identifier=", i)
	}
	for _, unseen := range []string{"c", "none"} { // hidden and absent alike
		none := map[exchange.Interaction]exchange.ErrorKind{exchange.Update: exchange.NotAllowed, exchange.Patch: exchange.Absent, exchange.Delete: 0}
		var text []string
		for i, op := range ops(unseen) {
			commits := w.records(func() {
				out, err := w.Transact(w.ctx, as(nurse), []exchange.Op{op})
				require.Equal(t, none[i], kind(err), i)
				if i == exchange.Delete {
					require.NoError(t, err)
					require.True(t, out[0].Deleted)
				} else {
					text = append(text, err.Error())
				}
			})
			require.Len(t, flat(commits), 1, i)
			require.Equal(t, "deny", flat(commits)[0].Outcome, i)
		}
		require.NotContains(t, strings.Join(text, " "), hidden.ID)
	}
	for version, i := range []exchange.Interaction{exchange.Update, exchange.Patch, exchange.Delete} {
		out, err := w.Transact(w.ctx, as(nurse), []exchange.Op{ops("a")[i]})
		require.NoError(t, err, i)
		require.Equal(t, mine.ID, out[0].ID, i)
		require.EqualValues(t, version+2, out[0].Version, i)
	}
	require.EqualValues(t, 1, w.row("Observation", hidden.ID).Version)

	other := ops("b")[exchange.Update]
	other.Where = query(t, "Observation", "identifier=https://v.example|b&date=2026-01-02,2026-01-03&_id="+mine.ID)
	_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{other})
	require.Equal(t, exchange.NotAllowed, kind(err), "deleted is absent")
}

// Two creates under one condition would both be made, and their condition hold for neither ever again.
func TestTwoCreatesUnderOneCondition(t *testing.T) {
	w := newWorld(t)
	under := func(identifier string) exchange.Op {
		op := create(t, labelled("aino", "2026-01-01", identifier))
		op.IfNoneExist = query(t, "Observation", "identifier=https://v.example|"+identifier)
		return op
	}
	_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{under("a"), under("b"), under("a")})
	require.Equal(t, exchange.Invalid, kind(err))
	var refusal *exchange.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, 2, refusal.Entry)
	require.Empty(t, w.found(nurse, "Observation", "identifier=https://v.example|a,https://v.example|b"))

	out, err := w.Transact(w.ctx, as(nurse), []exchange.Op{under("a"), under("b")})
	require.NoError(t, err)
	again, err := w.Transact(w.ctx, as(nurse), []exchange.Op{under("a"), under("a")})
	require.NoError(t, err, "both find it")
	require.Equal(t, []string{out[0].ID, out[0].ID}, []string{again[0].ID, again[1].ID})
}

// A conditional create may say what becomes of the match that it finds: nothing, its next version, or that the whole change
// is refused. Each is one exchange, all of it or nothing, recorded once for the client.
func TestAConditionalCreateMeetsItsMatch(t *testing.T) {
	w := newWorld(t)
	mine := w.put(nurse, labelled("aino", "2026-01-01", "a"))
	hidden := w.put(worker, labelled("aino", "2026-01-02", "b"))
	meeting := func(identifier string, meet func(*fhir.Value) (*fhir.Value, error)) []exchange.Op {
		return []exchange.Op{
			{Interaction: exchange.Create, Type: "Condition", Doc: doc(t, `{"resourceType":"Condition","subject":{"reference":"Patient/aino"},"evidence":[{"detail":[{"reference":"urn:uuid:9e0fb6ba-2ff8-4d37-8b4f-6e4bb2a5dbd5"}]}]}`)},
			{
				Interaction: exchange.Create, Type: "Observation", Doc: doc(t, labelled("aino", "2026-01-01", identifier)), FullURL: "urn:uuid:9e0fb6ba-2ff8-4d37-8b4f-6e4bb2a5dbd5",
				IfNoneExist: query(t, "Observation", "identifier=https://v.example|"+identifier), Meet: meet,
			},
		}
	}
	conditions := func() int { return len(w.found(nurse, "Condition", "patient=aino")) }
	before := conditions()

	refused := exchange.Refuse(exchange.Unprocessable, "business-rule", "", "It is another's.")
	commits := w.records(func() {
		_, err := w.Transact(w.ctx, as(nurse), meeting("a", func(*fhir.Value) (*fhir.Value, error) { return nil, refused }))
		require.Equal(t, exchange.Unprocessable, kind(err))
	})
	require.Len(t, flat(commits), 1)
	require.Equal(t, "Observation/"+mine.ID+"/_history/1", flat(commits)[0].Row, "the refusal tells of the match")
	require.Equal(t, "aino", flat(commits)[0].Client)
	require.False(t, flat(commits)[0].Success)
	require.Equal(t, before, conditions(), "nothing of the change was made")

	out, err := w.Transact(w.ctx, as(nurse), meeting("a", func(*fhir.Value) (*fhir.Value, error) { return nil, nil }))
	require.NoError(t, err)
	require.True(t, out[1].Existing)
	require.EqualValues(t, 1, w.row("Observation", mine.ID).Version)

	commits = w.records(func() {
		out, err = w.Transact(w.ctx, as(nurse), meeting("a", setting("valueString", "met")))
		require.NoError(t, err)
	})
	require.False(t, out[1].Existing || out[1].Created)
	require.EqualValues(t, 2, out[1].Version)
	require.Contains(t, string(out[1].Body), "met")
	require.Contains(t, string(out[0].Body), "Observation/"+mine.ID, "other entries refer to the match")
	require.Len(t, flat(commits), 1)
	require.Len(t, flat(commits)[0].Entities, 2)

	// What is hidden is no match: Meet is not asked, and a resource is made.
	out, err = w.Transact(w.ctx, as(nurse), meeting("b", func(*fhir.Value) (*fhir.Value, error) { panic("asked about what is hidden") }))
	require.NoError(t, err)
	require.True(t, out[1].Created)
	require.EqualValues(t, 1, w.row("Observation", hidden.ID).Version)

	// The law of an update holds for the new version.
	creates := as(nurse)
	creates.Allows = func(_ string, i exchange.Interaction) bool { return i != exchange.Update }
	_, err = w.Transact(w.ctx, creates, meeting("a", setting("valueString", "again")))
	require.Equal(t, exchange.Forbidden, kind(err))
	for _, bad := range []string{"status", "id"} {
		_, err = w.Transact(w.ctx, as(nurse), meeting("a", setting(bad, "bad value")))
		require.Equal(t, exchange.Unprocessable, kind(err), bad)
	}
	require.EqualValues(t, 2, w.row("Observation", mine.ID).Version)
}

// A patch makes a new version under the same law as an update: validated, decided, recorded once.
func TestPatchIsAnUpdate(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, strings.Replace(observation("aino", "2026-01-01"), `"valueString":"secret"`, `"valueQuantity":{"value":1.50,"unit":"/min"}`, 1))
	patch := func(f func(*fhir.Value) (*fhir.Value, error)) exchange.Op {
		return exchange.Op{Interaction: exchange.Patch, Type: "Observation", ID: row.ID, Patch: f}
	}
	commits := w.records(func() {
		out, err := w.Transact(w.ctx, as(nurse), []exchange.Op{patch(setting("status", "amended"))})
		require.NoError(t, err)
		require.EqualValues(t, 2, out[0].Version)
		require.Contains(t, string(out[0].Body), `"value":1.50`, "decimals stay as spelled")
	})
	require.Len(t, flat(commits), 1)
	require.Equal(t, "patch", flat(commits)[0].Interaction)
	require.Equal(t, "permit", flat(commits)[0].Outcome)
	require.Equal(t, "Observation/"+row.ID+"/_history/2", flat(commits)[0].Entities[0].What)

	stale := patch(setting("status", "final"))
	stale.IfMatch = 1
	for name, c := range map[string]struct {
		who  string
		op   exchange.Op
		kind exchange.ErrorKind
	}{
		"stale":       {nurse, stale, exchange.Stale},
		"invalid":     {nurse, patch(setting("status", "colourful")), exchange.Unprocessable},
		"of the id":   {nurse, patch(setting("id", "other")), exchange.Unprocessable},
		"of the type": {nurse, patch(setting("resourceType", "Condition")), exchange.Unprocessable},
		"unseen":      {worker, patch(setting("status", "final")), exchange.Absent},
		"absent":      {nurse, exchange.Op{Interaction: exchange.Patch, Type: "Observation", ID: "none", Patch: setting("status", "final")}, exchange.Absent},
		"population":  {nurse, exchange.Op{Interaction: exchange.Patch, Type: "Patient", ID: "aino", Patch: setting("gender", "male")}, exchange.NotAllowed},
	} {
		commits := w.records(func() {
			_, err := w.Transact(w.ctx, as(c.who), []exchange.Op{c.op})
			require.Equal(t, c.kind, kind(err), name)
		})
		require.Len(t, flat(commits), 1, name)
	}
	require.EqualValues(t, 2, w.row("Observation", row.ID).Version)
}

// Conditional references of a transaction point at what the caller sees, and an unseen target fails it as an absent one.
func TestConditionalReferences(t *testing.T) {
	w := newWorld(t)
	target := w.put(nurse, labelled("aino", "2026-01-01", "a"))
	w.put(worker, labelled("aino", "2026-01-02", "a"))
	w.put(worker, labelled("aino", "2026-01-02", "hidden"))
	w.put(nurse, labelled("aino", "2026-01-02", "b"))
	w.put(nurse, labelled("aino", "2026-01-03", "b"))
	referring := func(query string) exchange.Op {
		return create(t, strings.Replace(observation("aino", "2026-01-05"), `"status"`, `"hasMember":[{"reference":"`+query+`"},{"reference":"`+query+`"}],"status"`, 1))
	}
	out, err := w.Transact(w.ctx, as(nurse), []exchange.Op{referring("Observation?identifier=https://v.example%7Ca")})
	require.NoError(t, err)
	for _, ref := range doc(t, string(out[0].Body)).All("hasMember", "reference") {
		require.Equal(t, "Observation/"+target.ID, ref.Str())
	}
	texts := map[string]string{}
	for query, want := range map[string]exchange.ErrorKind{
		"Observation?identifier=https://v.example%7Chidden": exchange.Ambiguous,
		"Observation?identifier=https://v.example%7Cabsent": exchange.Ambiguous,
		"Observation?identifier=https://v.example%7Cb":      exchange.Ambiguous,
		"Observation?colour=red":                            exchange.Invalid,
	} {
		_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{referring(query)})
		require.Equal(t, want, kind(err), query)
		texts[query] = err.Error()
	}
	require.Equal(t, texts["Observation?identifier=https://v.example%7Chidden"], texts["Observation?identifier=https://v.example%7Cabsent"])
	require.NotEqual(t, texts["Observation?identifier=https://v.example%7Chidden"], texts["Observation?identifier=https://v.example%7Cb"])
}

// Deletes are carried out first (FHIR R4 § 3.1.0.11.2): a conditional create of the same transaction makes anew what they
// delete, and refers nobody to what is gone; nor does a conditional reference.
func TestConditionsAfterTheDeletesOfATransaction(t *testing.T) {
	w := newWorld(t)
	const byA = "identifier=https://v.example|a"
	old := w.put(nurse, labelled("aino", "2026-01-01", "a"))
	remove := exchange.Op{Interaction: exchange.Delete, Type: "Observation", Where: query(t, "Observation", byA)}
	again := create(t, labelled("aino", "2026-01-02", "a"))
	again.FullURL, again.IfNoneExist = "urn:uuid:6f1c2a52-9d0c-4c55-8b0e-5d6f1f0e7a01", query(t, "Observation", byA)
	referring := func(to string) exchange.Op {
		return create(t, strings.Replace(observation("aino", "2026-01-05"), `"status"`, `"hasMember":[{"reference":"`+to+`"}],"status"`, 1))
	}

	out, err := w.Transact(w.ctx, as(nurse), []exchange.Op{remove, again, referring(again.FullURL)})
	require.NoError(t, err)
	require.True(t, out[0].Deleted)
	require.False(t, out[1].Existing)
	require.NotEqual(t, old.ID, out[1].ID)
	require.True(t, w.row("Observation", old.ID).Deleted)
	require.Equal(t, "Observation/"+out[1].ID, doc(t, string(out[2].Body)).All("hasMember", "reference")[0].Str())

	byID := exchange.Op{Interaction: exchange.Delete, Type: "Observation", ID: out[1].ID}
	_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{byID, referring("Observation?identifier=https://v.example%7Ca")})
	require.Equal(t, exchange.Ambiguous, kind(err))
	require.False(t, w.row("Observation", out[1].ID).Deleted, "all or nothing")

	// What stays is the one match beside what goes.
	w.put(nurse, labelled("aino", "2026-01-03", "a"))
	kept, err := w.Transact(w.ctx, as(nurse), []exchange.Op{byID, again, referring("Observation?identifier=https://v.example%7Ca")})
	require.NoError(t, err)
	require.True(t, kept[1].Existing)
	require.NotEqual(t, out[1].ID, kept[1].ID)
	require.Equal(t, "Observation/"+kept[1].ID, doc(t, string(kept[2].Body)).All("hasMember", "reference")[0].Str())
}
