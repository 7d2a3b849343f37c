package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/constraints"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
	"sotesilta/mappings/jukola"
)

// TestConceptMapsAreWhatTranslates: every code map of every lens is published with each of its rows.
func TestConceptMapsAreWhatTranslates(t *testing.T) {
	lenses, err := jukola.Lenses()
	require.NoError(t, err)
	published := map[string]*fhir.Value{}
	for _, m := range (Terms{}).ConceptMaps() {
		published[fhir.ID(m)] = m
		require.Empty(t, fhir.Validate(m), fhir.ID(m))
		require.Empty(t, constraints.Check(m, constraints.Errors), fhir.ID(m))
	}
	maps := 0
	for _, lens := range lenses {
		for _, m := range lens.CodeMaps() {
			maps++
			doc := published[m.Lens+"-"+m.Name]
			require.NotNil(t, doc, m.Name)
			rows := 0
			for _, row := range m.Rows {
				if m.In && row.In || !m.In && row.Out {
					rows++
				}
			}
			require.Len(t, doc.All("group", "element"), rows, m.Name)
		}
	}
	require.Equal(t, 8, maps, "sex in three lenses, patient class, admission type, status, priority, filler status")
	require.Len(t, published, maps+2)
	status := published["jukola-ref-referral-status"].First("group")
	require.Equal(t, "http://hl7.org/fhir/request-status", status.Text("source"))
	require.Equal(t, "http://terminology.hl7.org/CodeSystem/v2-0283", status.Text("target"))
	for _, e := range status.Get("element").Items() {
		want := map[string]string{"active": "equivalent", "on-hold": "wider"}[e.Text("code")]
		require.Equal(t, want, e.Text("target", "equivalence"), e.Text("code"))
	}
}

// TestOurSidesOfConceptMapsAreCodesOfOurs: what a ConceptMap says of a code system of ours, that system has.
func TestOurSidesOfConceptMapsAreCodesOfOurs(t *testing.T) {
	checked := 0
	for _, m := range (Terms{}).ConceptMaps() {
		for _, group := range m.Get("group").Items() {
			for _, e := range group.Get("element").Items() {
				for system, code := range map[string]string{group.Text("source"): e.Text("code"), group.Text("target"): e.Text("target", "code")} {
					if _, known, here := (Terms{}).Concept(system, code); here {
						require.True(t, known, "%s|%s", system, code)
						checked++
					}
				}
			}
		}
	}
	require.NotZero(t, checked)
	require.Equal(t, "ATL-53.2", translatedTo(t, "permit-direction", terms.PermitToSocial))
	require.Equal(t, "TREAT", translatedTo(t, "purpose-of-use", "care"))
}

func translatedTo(t *testing.T, id, code string) string {
	t.Helper()
	doc, err := Resource("ConceptMap", id)
	require.NoError(t, err)
	for _, e := range doc.All("group", "element") {
		for _, one := range append(e.Items(), e) {
			if one.Text("code") == code {
				return one.Text("target", "code")
			}
		}
	}
	return ""
}
