package exchange_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// A client is found by identity code and name together, or not at all: nobody is linked by guess (law 10).
func TestMatchFindsOnlyWhoIsCertain(t *testing.T) {
	w := newWorld(t)
	person := func(id string) exchange.Identification {
		return exchange.Identification{IdentityCode: w.identityCode(id), Family: w.name(id, "family"), Given: w.name(id, "given")}
	}
	right := person("veikko")
	for _, who := range []string{nurse, worker, "county-social", physician} {
		commits := w.records(func() {
			got, err := w.Match(w.ctx, as(who), right)
			require.NoError(t, err, who)
			require.Equal(t, "veikko", got.ID)
		})
		require.Len(t, flat(commits), 1)
		require.Equal(t, []string{"ATL-8"}, ids(flat(commits)[0].Bases))
		require.Equal(t, "veikko", flat(commits)[0].Client)
	}
	lower := right
	lower.Family, lower.Given = strings.ToUpper(lower.Family), strings.ToLower(lower.Given)
	_, err := w.Match(w.ctx, as(nurse), lower)
	require.NoError(t, err, "letter case is no doubt")

	wrong := map[string]func(*exchange.Identification){
		"no code": func(i *exchange.Identification) { i.IdentityCode = "" }, "another's code": func(i *exchange.Identification) { i.IdentityCode = w.identityCode("aino") },
		"no family name": func(i *exchange.Identification) { i.Family = "" }, "another family name": func(i *exchange.Identification) { i.Family = "Muu" },
		"no given name": func(i *exchange.Identification) { i.Given = "" }, "part of a name": func(i *exchange.Identification) { i.Given = i.Given[:2] },
		"another birth date": func(i *exchange.Identification) { i.BirthDate = "1900-01-01" }, "half a code": func(i *exchange.Identification) { i.IdentityCode = i.IdentityCode[:6] },
	}
	for name, change := range wrong {
		asked := right
		change(&asked)
		commits := w.records(func() {
			got, err := w.Match(w.ctx, as(nurse), asked)
			require.Equal(t, exchange.Absent, kind(err), name)
			require.Nil(t, got)
			require.Equal(t, "No certain match.", err.Error())
		})
		require.Len(t, flat(commits), 1, name)
		require.Empty(t, flat(commits)[0].Entities)
	}
	for _, who := range []string{aino, "lumi-guardian@omaks", "auditor", "operator"} {
		_, err := w.Match(w.ctx, as(who), right)
		require.Equal(t, exchange.Absent, kind(err), who)
		require.Equal(t, "No certain match.", err.Error())
	}

	// What systems register under the same code neither answers nor hides who is meant.
	for range 4 {
		w.put(nurse, `{"resourceType":"Patient","identifier":[{"system":"urn:oid:1.2.246.21","value":"`+right.IdentityCode+`"}],"name":[{"family":"`+right.Family+`","given":["`+right.Given+`"]}]}`)
	}
	got, err := w.Match(w.ctx, as(worker), right)
	require.NoError(t, err)
	require.Equal(t, "veikko", got.ID)
	// Two of the population under one code and name are as uncertain as none.
	_, err = w.Publish(w.ctx, as("operator").Actor, []*fhir.Value{doc(t, `{"resourceType":"Patient","id":"twin","identifier":[{"system":"urn:oid:1.2.246.21","value":"`+right.IdentityCode+`"}],"name":[{"family":"`+right.Family+`","given":["`+right.Given+`"]}]}`)})
	require.NoError(t, err)
	_, err = w.Match(w.ctx, as(nurse), right)
	require.Equal(t, exchange.Absent, kind(err))
}

// The answer identifies the person and says nothing else: not where toivo lives, nor that he hides it.
func TestMatchAnswersIdentityOnly(t *testing.T) {
	w := newWorld(t)
	got, err := w.Match(w.ctx, as(physician), exchange.Identification{IdentityCode: w.identityCode("toivo"), Family: w.name("toivo", "family"), Given: w.name("toivo", "given")})
	require.NoError(t, err)
	v := doc(t, string(got.Body))
	for _, member := range v.Members() {
		require.Contains(t, []string{"resourceType", "id", "meta", "identifier", "name", "gender", "birthDate"}, member.Name)
	}
	require.NotContains(t, string(got.Body), "TURVAKIELTO")
	require.Contains(t, string(w.row("Patient", "toivo").Body), "TURVAKIELTO")
	require.Equal(t, "identity", v.Text("meta", "security", "code"))
}

// The operator publishes population identity and the directory, and nothing that is somebody's care.
func TestPublish(t *testing.T) {
	w := newWorld(t)
	publish := func(text string) (int, error) {
		return w.Publish(w.ctx, as("operator").Actor, []*fhir.Value{doc(t, text)})
	}
	place := `{"resourceType":"Location","id":"station","name":"Asema"}`
	n, err := publish(place)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	commits := w.records(func() {
		n, err = publish(place)
		require.NoError(t, err)
	})
	require.Zero(t, n, "the same again is left alone")
	require.Empty(t, commits)
	n, err = publish(strings.Replace(place, "Asema", "Toinen", 1))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, int64(2), w.row("Location", "station").Version)

	for name, text := range map[string]string{
		"care data":                    observation("aino", "2026-01-01"),
		"a directory naming a client":  `{"resourceType":"Practitioner","id":"x","extension":[{"url":"http://example.org/x","valueReference":{"reference":"Patient/aino"}}]}`,
		"a directory holding a person": `{"resourceType":"Location","id":"x","extension":[{"url":"http://example.org/x","valueReference":{"reference":"#p"}}],"contained":[{"resourceType":"Patient","id":"p"}]}`,
		"without an id":                `{"resourceType":"Location","name":"x"}`,
		"invalid":                      `{"resourceType":"Location","id":"x","nonsense":true}`,
	} {
		_, err := publish(text)
		require.Equal(t, exchange.Invalid, kind(err), name)
	}
	own := w.put(nurse, `{"resourceType":"Location","name":"Oma"}`)
	_, err = publish(`{"resourceType":"Location","id":"` + own.ID + `","name":"Taken"}`)
	require.Equal(t, exchange.Invalid, kind(err), "what an API client wrote")
	registered := w.put(nurse, `{"resourceType":"Patient","name":[{"family":"Uusi"}]}`)
	_, err = publish(`{"resourceType":"Patient","id":"` + registered.ID + `","name":[{"family":"Uusi"}]}`)
	require.Equal(t, exchange.Invalid, kind(err))
	_, err = w.Publish(w.ctx, as(nurse).Actor, []*fhir.Value{doc(t, place)})
	require.Equal(t, exchange.Forbidden, kind(err))

	// New population data keep what is known of the client.
	before := w.facts("aino")
	changed := w.patient("aino")
	changed.Set("birthDate", fhir.NewString("1991-01-01"))
	changed.Set("meta", nil)
	_, err = w.Publish(w.ctx, as("operator").Actor, []*fhir.Value{changed})
	require.NoError(t, err)
	after := w.facts("aino")
	require.Equal(t, before.Version+1, after.Version)
	require.Equal(t, before.Relationships, after.Relationships)
	require.Equal(t, 1991, after.Person.Born.Year())
	require.Equal(t, consent.Identity, w.row("Patient", "aino").Class.Register)
}

// Non-disclosure for personal safety leaves the whereabouts out wherever a Patient leaves: read, found, pushed.
func TestWhereaboutsAreWithheld(t *testing.T) {
	w := newWorld(t)
	require.Contains(t, string(w.row("Patient", "toivo").Body), `"address"`)
	w.put(physician, episode("toivo", "", "active"))
	got, err := w.Read(w.ctx, as(physician), "Patient", "toivo")
	require.NoError(t, err)
	require.NotContains(t, string(got.Body), `"address"`)
	page, err := w.Search(w.ctx, as(physician), query(t, "Patient", "_id=toivo"))
	require.NoError(t, err)
	require.Len(t, page.Matches, 1)
	require.NotContains(t, string(page.Matches[0].Body), `"address"`)
	versions, _, err := w.History(w.ctx, as(physician), "Patient", "toivo", exchange.Past{Count: 5})
	require.NoError(t, err)
	require.NotContains(t, string(versions[0].Body), `"address"`)
	pushed, err := w.Gather(w.ctx, as("jukola-ehr"), "Patient/toivo")
	require.NoError(t, err)
	require.NotNil(t, pushed[0])
	require.NotContains(t, string(pushed[0].Body), `"address"`)
	own, err := w.Read(w.ctx, as(nurse), "Patient", "toivo")
	require.NoError(t, err)
	require.Contains(t, string(own.Body), `"address"`, "a county unit with a relationship needs it")
}

// A county of more residents than a search may decide on is still matched: the look-up goes by the code alone.
func TestMatchInALargePopulation(t *testing.T) {
	if testing.Short() {
		t.Skip("publishes more residents than a search may decide on")
	}
	w := newWorld(t)
	docs := make([]*fhir.Value, 0, store.MaxClasses+1)
	for i := range store.MaxClasses + 1 {
		docs = append(docs, doc(t, `{"resourceType":"Patient","id":"r`+strconv.Itoa(i)+`","name":[{"family":"Asukas","given":["Ansa"]}]}`))
	}
	n, err := w.Publish(w.ctx, as("operator").Actor, docs)
	require.NoError(t, err)
	require.Equal(t, len(docs), n)
	got, err := w.Match(w.ctx, as(nurse), exchange.Identification{IdentityCode: w.identityCode("veikko"), Family: w.name("veikko", "family"), Given: w.name("veikko", "given")})
	require.NoError(t, err)
	require.Equal(t, "veikko", got.ID)
}
