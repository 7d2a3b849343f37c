package exchange_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

func TestEveryServedTypeIsOneOfR4Once(t *testing.T) {
	types := exchange.Types()
	for i, typ := range types {
		require.True(t, fhir.IsResource(typ), typ)
		require.NotContains(t, types[i+1:], typ)
		require.NotEmpty(t, search.Params(typ))
	}
}

// What a nurse writes is data of the patient register when it is about a client, the directory's when it is a service,
// a free time or a definition, and her own controller's when it is about nobody.
func TestTypesAreClassed(t *testing.T) {
	w := newWorld(t)
	group := w.put(nurse, `{"resourceType":"Group","type":"person","actual":false}`)
	for text, want := range map[string]struct {
		register consent.Register
		clients  []string
	}{
		`{"resourceType":"RelatedPerson","patient":{"reference":"Patient/aino"}}`:                                                                                                                                                       {consent.Health, []string{"aino"}},
		`{"resourceType":"Goal","lifecycleStatus":"active","description":{"text":"kotona"},"subject":{"reference":"Patient/aino"}}`:                                                                                                     {consent.Health, []string{"aino"}},
		`{"resourceType":"Flag","status":"active","code":{"text":"x"},"subject":{"reference":"Patient/aino"}}`:                                                                                                                          {consent.Health, []string{"aino"}},
		`{"resourceType":"Group","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/onni"}},{"entity":{"reference":"Patient/aino"}}]}`:                                                                             {consent.Health, []string{"aino", "onni"}},
		`{"resourceType":"MeasureReport","status":"complete","type":"summary","measure":"http://example.org/m","period":{"start":"2026"}}`:                                                                                              {consent.Health, nil},
		`{"resourceType":"Schedule","actor":[{"reference":"Location/jukola"}]}`:                                                                                                                                                         {consent.Directory, nil},
		`{"resourceType":"Schedule","actor":[{"reference":"Patient/aino"}]}`:                                                                                                                                                            {consent.Health, []string{"aino"}},
		`{"resourceType":"Slot","schedule":{"reference":"Schedule/s"},"status":"free","start":"2026-11-23T08:00:00Z","end":"2026-11-23T08:30:00Z"}`:                                                                                     {consent.Directory, nil},
		`{"resourceType":"Measure","status":"draft","subjectCodeableConcept":{"text":"asiakkaat"}}`:                                                                                                                                     {consent.Directory, nil},
		`{"resourceType":"Measure","status":"draft","subjectReference":{"reference":"Group/` + group.ID + `"}}`:                                                                                                                         {consent.Health, nil},
		`{"resourceType":"ValueSet","status":"active"}`:                                                                                                                                                                                 {consent.Directory, nil},
		`{"resourceType":"Endpoint","status":"active","connectionType":{"code":"hl7-fhir-rest"},"payloadType":[{"text":"x"}],"address":"https://x.example"}`:                                                                            {consent.Directory, nil},
		`{"resourceType":"Questionnaire","status":"draft","extension":[{"url":"http://example.org/x","valueReference":{"reference":"#o"}}],"contained":[{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"}}]}`: {consent.Health, nil},
	} {
		v := doc(t, text)
		made := w.put(nurse, text)
		class := w.row(fhir.ResourceType(v), made.ID).Class
		require.Equal(t, want.register, class.Register, text)
		require.Equal(t, want.clients, class.Clients, text)
		seen := slices.Contains(w.found(worker, made.Type, "_id="+made.ID), made.Type+"/"+made.ID)
		require.Equal(t, want.register == consent.Directory, seen, "social care sees the directory alone: %s", text)
	}
}

// A member of a group is named so that the rows of each are found under each one's bans.
func TestAGroupNamesItsMembersByID(t *testing.T) {
	w := newWorld(t)
	_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{create(t,
		`{"resourceType":"Group","type":"person","actual":true,"member":[{"entity":{"identifier":{"value":"170588-9102"}}}]}`)})
	require.Equal(t, exchange.Unprocessable, kind(err))
}

// A recording date is what the type calls so, never when what it tells of happened.
func TestNewTypesAreRecordedWhenTheySay(t *testing.T) {
	w := newWorld(t)
	for text, want := range map[string]string{
		`{"resourceType":"AllergyIntolerance","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]},"patient":{"reference":"Patient/aino"},"recordedDate":"2020-05-01","onsetDateTime":"2001-01-01"}`: "2020-05-01",
		`{"resourceType":"MedicationStatement","status":"active","subject":{"reference":"Patient/aino"},"medicationCodeableConcept":{"text":"x"},"dateAsserted":"2021-06-01","effectiveDateTime":"2002-02-02"}`:                                                              "2021-06-01",
	} {
		made := w.put(nurse, text)
		require.Equal(t, want, w.row(made.Type, made.ID).Recorded.Format("2006-01-02"), text)
	}
	made := w.put(nurse, `{"resourceType":"Procedure","status":"completed","subject":{"reference":"Patient/aino"},"performedDateTime":"2003-03-03"}`)
	require.Greater(t, w.row("Procedure", made.ID).Recorded.Year(), 2025)
}
