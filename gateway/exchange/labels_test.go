package exchange_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/sandbox"
	"sotesilta/internal/fhir"
)

// Every version's controller, register and clients come from who writes it and from its content, never from the sender's
// word (law 6).
func TestLabels(t *testing.T) {
	w := newWorld(t)
	county, clinic := "Organization/county", "Organization/private-clinic"
	for name, c := range map[string]struct {
		who, text  string
		register   consent.Register
		controller string
		clients    []string
	}{
		"health data of the county":           {nurse, observation("aino", "2026-01-01"), consent.Health, county, []string{"aino"}},
		"social data of the county":           {worker, observation("aino", "2026-01-01"), consent.Social, county, []string{"aino"}},
		"another controller's":                {physician, observation("aino", "2026-01-01"), consent.Health, clinic, []string{"aino"}},
		"a system without a user":             {"county-social", observation("aino", "2026-01-01"), consent.Social, county, []string{"aino"}},
		"a user's unit tells the sector":      {"digi-counsellor@omaks", observation("aino", "2026-01-01"), consent.Social, county, []string{"aino"}},
		"forged codes":                        {worker, `{"resourceType":"Observation","meta":{"security":[{"system":"https://sotesilta.example/fhir/CodeSystem/register","code":"directory"}]},"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/aino"}}`, consent.Social, county, []string{"aino"}},
		"absolute reference to this base":     {nurse, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"` + base + `/Patient/aino"}}`, consent.Health, county, []string{"aino"}},
		"versioned reference":                 {nurse, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/aino/_history/1"}}`, consent.Health, county, []string{"aino"}},
		"absolute reference, otherwise spelt": {nurse, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"https://LOCALHOST:8080/fhir/Patient/aino"}}`, consent.Health, county, []string{"aino"}},
		"absolute reference elsewhere":        {nurse, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"https://elsewhere.example/fhir/Patient/aino"}}`, consent.Health, county, nil},
		"no subject":                          {nurse, `{"resourceType":"Observation","status":"final","code":{"text":"x"}}`, consent.Health, county, nil},
		"several clients":                     {nurse, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/onni"},"focus":[{"reference":"Patient/aino"}]}`, consent.Health, county, []string{"aino", "onni"}},
		"a client in what is contained":       {nurse, `{"resourceType":"Observation","contained":[{"resourceType":"Observation","id":"c","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/onni"}}],"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/aino"},"hasMember":[{"reference":"#c"}]}`, consent.Health, county, []string{"aino", "onni"}},
		"a client in an extension":            {nurse, `{"resourceType":"Observation","extension":[{"url":"http://example.org/x","valueReference":{"reference":"Patient/onni"}}],"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/aino"}}`, consent.Health, county, []string{"aino", "onni"}},
		"directory data":                      {nurse, `{"resourceType":"Location","name":"Huone 3"}`, consent.Directory, county, nil},
		"a directory that names a client":     {nurse, `{"resourceType":"Practitioner","extension":[{"url":"http://example.org/x","valueReference":{"reference":"Patient/onni"}}]}`, consent.Health, county, []string{"onni"}},
		"a directory that holds a person":     {nurse, `{"resourceType":"Location","extension":[{"url":"http://example.org/x","valueReference":{"reference":"#p"}}],"contained":[{"resourceType":"Patient","id":"p","name":[{"family":"Salainen"}]}],"name":"Huone 3"}`, consent.Health, county, nil},
		"a directory with an identity code":   {nurse, `{"resourceType":"Practitioner","identifier":[{"system":"urn:oid:1.2.246.21","value":"170588-9102"}]}`, consent.Health, county, nil},
		"a free time with an identity code":   {nurse, `{"resourceType":"Slot","schedule":{"reference":"Schedule/1"},"status":"busy","start":"2026-11-22T10:00:00Z","end":"2026-11-22T11:00:00Z","comment":"Aino (170588–9102)"}`, consent.Health, county, nil},
		"a form that means a Patient":         {nurse, `{"resourceType":"Questionnaire","status":"active","extension":[{"url":"http://example.org/x","valueReference":{"type":"Patient","identifier":{"value":"1"}}}]}`, consent.Health, county, nil},
		"a telephone number like a code":      {nurse, `{"resourceType":"Location","name":"Huone 3","telecom":[{"system":"phone","value":"050505-1234"}]}`, consent.Directory, county, nil},
	} {
		t.Run(name, func(t *testing.T) {
			row := w.put(c.who, c.text)
			class := w.row(row.Type, row.ID).Class
			require.Equal(t, c.register, class.Register)
			require.Equal(t, c.controller, class.Controller)
			require.Equal(t, c.clients, class.Clients)
			require.Equal(t, as(c.who).Actor.App, class.Author)
			require.Equal(t, as(c.who).Actor.Unit, class.Unit)
			var shown []string
			for _, coding := range doc(t, string(row.Body)).Get("meta").Get("security").Items() {
				if coding.Text("system") == "https://sotesilta.example/fhir/CodeSystem/register" {
					shown = append(shown, coding.Text("code"))
				}
			}
			require.Equal(t, []string{string(c.register)}, shown)
		})
	}
	registered := w.put("jukola-ehr", `{"resourceType":"Patient","name":[{"family":"Uusi"}]}`)
	class := w.row("Patient", registered.ID).Class
	require.Equal(t, consent.Health, class.Register, "a Patient that a client writes is its own record, no identity")
	require.Equal(t, []string{registered.ID}, class.Clients)
}

// An update leaves the register, the controller, the author and the unit as they were, whoever makes it; the clients are
// those of the new content, and both labels must allow the change.
func TestAnUpdateChangesNoRegister(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, observation("aino", "2026-01-01"))
	before := w.row("Observation", row.ID).Class
	_, err := w.Transact(w.ctx, as(doctor), []exchange.Op{update(t, row.ID, `{"resourceType":"Observation","meta":{"security":[{"system":"https://sotesilta.example/fhir/CodeSystem/register","code":"social"},{"system":"https://sotesilta.example/fhir/CodeSystem/protection","code":"psychiatry"}]},"status":"amended","code":{"text":"x"},"subject":{"reference":"Patient/aino"}}`)})
	require.Equal(t, exchange.Forbidden, kind(err), "what becomes specially protected needs a confirmation (703/2023 § 26.2)")
	_, err = w.Transact(w.ctx, as(doctor), []exchange.Op{update(t, row.ID, `{"resourceType":"Observation","meta":{"security":[{"system":"https://sotesilta.example/fhir/CodeSystem/register","code":"social"}]},"status":"amended","code":{"text":"x"},"subject":{"reference":"Patient/aino"}}`)})
	require.NoError(t, err)
	require.Equal(t, before, w.row("Observation", row.ID).Class)

	moved := update(t, row.ID, observation("onni", "2026-01-01"))
	_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{moved})
	require.NoError(t, err, "both are the unit's clients")
	require.Equal(t, []string{"onni"}, w.row("Observation", row.ID).Class.Clients)
	commits := w.records(func() {
		got, err := w.VRead(w.ctx, as(nurse), "Observation", row.ID, 1)
		require.NoError(t, err)
		require.Contains(t, string(got.Body), "Patient/aino", "each version has its own label")
	})
	require.Equal(t, "aino", flat(commits)[0].Client)

	// A row of the directory does not become somebody's care.
	place := w.put(nurse, `{"resourceType":"Location","name":"Huone"}`)
	_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{update(t, place.ID, `{"resourceType":"Location","name":"Huone","extension":[{"url":"http://example.org/x","valueReference":{"reference":"Patient/aino"}}]}`)})
	require.Equal(t, exchange.Forbidden, kind(err))
	_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{update(t, place.ID, `{"resourceType":"Location","extension":[{"url":"http://example.org/x","valueReference":{"reference":"#p"}}],"contained":[{"resourceType":"Patient","id":"p"}],"name":"Huone"}`)})
	require.Equal(t, exchange.Forbidden, kind(err))
	_, err = w.Transact(w.ctx, as(worker), []exchange.Op{update(t, place.ID, `{"resourceType":"Location","name":"Toinen"}`)})
	require.Equal(t, exchange.Forbidden, kind(err), "another client's directory entry")
	_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{update(t, "county", `{"resourceType":"Organization","name":"Ours"}`)})
	require.Equal(t, exchange.Forbidden, kind(err), "the operator's directory entry")
	_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{update(t, "aino", `{"resourceType":"Patient"}`)})
	require.Equal(t, exchange.NotAllowed, kind(err), "population data are read-only")
}

// A subject is population identity or visible to the writer; an absent one and an unseen one are refused alike.
func TestSubjects(t *testing.T) {
	w := newWorld(t)
	own := w.put(nurse, `{"resourceType":"Patient","name":[{"family":"Uusi"}]}`)
	w.put(nurse, observation(own.ID, "2026-01-01"))
	try := func(who, client string) answer {
		return w.answerOf(client, func() error {
			_, err := w.Transact(w.ctx, as(who), []exchange.Op{create(t, observation(client, "2026-01-01"))})
			return err
		})
	}
	require.Equal(t, exchange.Unprocessable, try(worker, "nobody").Kind)
	require.Equal(t, try(worker, "nobody"), try(worker, own.ID), "another register's Patient")
	w.put(worker, observation("veikko", "2026-01-01")) // population identity says nothing of clientship
	_, err := w.Read(w.ctx, as(counsel), "Observation", "x")
	require.Error(t, err)
	require.Empty(t, w.found(worker, "Observation", "patient=veikko"), "recording gives no relationship")

	gone := []exchange.Op{remove("Patient", own.ID), create(t, observation(own.ID, "2026-01-02"))}
	_, err = w.Transact(w.ctx, as(nurse), gone)
	require.Equal(t, exchange.Unprocessable, kind(err), "a client that goes in the same transaction")
}

// A Provenance has the clients of what it is about, as far as its writer sees it; that of a directive is a directive.
func TestProvenanceLabels(t *testing.T) {
	w := newWorld(t)
	about := func(target string) string {
		return `{"resourceType":"Provenance","target":[{"reference":"` + target + `"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}`
	}
	row := w.put(nurse, observation("aino", "2026-01-01"))
	own := w.put(nurse, about("Observation/"+row.ID))
	require.Equal(t, []string{"aino"}, w.row("Provenance", own.ID).Class.Clients)
	require.Equal(t, consent.Health, w.row("Provenance", own.ID).Class.Register)
	absolute := w.put(nurse, about(base+"/Observation/"+row.ID))
	require.Equal(t, []string{"aino"}, w.row("Provenance", absolute.ID).Class.Clients)
	blind := w.put(worker, about("Observation/"+row.ID))
	require.Empty(t, w.row("Provenance", blind.ID).Class.Clients, "what the writer cannot see gives no label")
	require.Equal(t, consent.Social, w.row("Provenance", blind.ID).Class.Register)

	permit := w.give(nurse, "aino", sandbox.PermitToSocial("aino", sandbox.Period{From: "2026-01-01"}))
	require.Equal(t, consent.Directive, w.row("Consent", permit).Class.Register)
	told := w.found(nurse, "Provenance", "target=Consent/"+permit)
	require.Len(t, told, 1)
	ref := fhir.ParseReference(told[0])
	class := w.row("Provenance", ref.ID).Class
	require.Equal(t, consent.Directive, class.Register)
	require.Equal(t, []string{"aino"}, class.Clients)
	require.Empty(t, w.found(worker, "Provenance", "target=Consent/"+permit))
	// Writing about somebody else's directive does not tell whether it exists.
	w.put(worker, about("Consent/"+permit))
	w.put(worker, about("Consent/nothing"))
	w.put("digi-counsellor@omaks", about("Consent/"+permit))
	_, err := w.Transact(w.ctx, as(doctor), []exchange.Op{create(t, about("Consent/"+permit))})
	require.NoError(t, err, "no receiver named")
	forged := `{"resourceType":"Provenance","target":[{"reference":"Consent/` + permit + `"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"type":{"coding":[{"system":"http://gen.kanta.fi/figen-cs-provenancerolecategory","code":"2"}]},"who":{"reference":"Practitioner/nurse"}},{"type":{"coding":[{"system":"http://gen.kanta.fi/figen-cs-provenancerolecategory","code":"7"}]},"who":{"reference":"Organization/jukola"}}]}`
	_, err = w.Transact(w.ctx, as(doctor), []exchange.Op{create(t, forged)})
	require.Equal(t, exchange.Unprocessable, kind(err), "nobody records a directive in another's name")
}

// The registers' rows keep the classes that permits and caps speak of, and lose them to no omission.
func TestClassesOfDataAreKept(t *testing.T) {
	w := newWorld(t)
	tagged := `{"resourceType":"QuestionnaireResponse","meta":{"security":[{"system":"https://sotesilta.example/fhir/CodeSystem/service-task","code":"working-age"},{"system":"https://sotesilta.example/fhir/CodeSystem/data-class","code":"need-assessment"}]},"status":"completed","subject":{"reference":"Patient/aino"},"authored":"2024-02-03T00:00:00Z"}`
	row := w.put(worker, tagged)
	class := w.row(row.Type, row.ID).Class
	require.Equal(t, "working-age", class.ServiceTask)
	require.Equal(t, "need-assessment", class.DataClass)
	require.Equal(t, 2024, w.row(row.Type, row.ID).Recorded.Year(), "the recording date is the content's own")
	_, err := w.Transact(w.ctx, as(worker), []exchange.Op{update(t, row.ID, `{"resourceType":"QuestionnaireResponse","status":"amended","subject":{"reference":"Patient/aino"}}`)})
	require.NoError(t, err)
	require.Equal(t, class, w.row(row.Type, row.ID).Class)
	visit := w.put(nurse, `{"resourceType":"Encounter","status":"in-progress","class":{"code":"AMB"},"subject":{"reference":"Patient/aino"}}`)
	seen := w.put(nurse, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/aino"},"encounter":{"reference":"Encounter/`+visit.ID+`"}}`)
	require.Equal(t, "Encounter/"+visit.ID, w.row("Observation", seen.ID).Class.ServiceEvent)
	require.Equal(t, "Encounter/"+visit.ID, w.row("Encounter", visit.ID).Class.ServiceEvent)
}
