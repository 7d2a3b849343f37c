package answers

import (
	"slices"
	"strings"
	"testing"

	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

// A search across types finds what the searches of each find, for each caller its own, page by page; and the auditor
// reads what was asked.
func TestSearchAcrossTypes(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		for _, p := range []*gatewaytest.Party{g.Nurse(), g.SocialWorker(), g.Physician()} {
			var apart []string
			for _, typ := range []string{"Condition", "Encounter", "Observation", "QuestionnaireResponse"} {
				apart = append(apart, gatewaytest.Refs(p.All(t, typ+"?patient=Patient/onni"))...)
			}
			query := "?_type=QuestionnaireResponse,Observation,Condition,Encounter&patient=Patient/onni"
			together := gatewaytest.Refs(p.All(t, query+"&_sort=-_lastUpdated&_count=2"))
			slices.Sort(apart)
			sorted := slices.Sorted(slices.Values(together))
			if !slices.Equal(apart, sorted) {
				t.Errorf("%s: by type %q, across types %q", p, apart, sorted)
			}
			total := p.Get(t, query+"&_summary=count").Doc(t).Text("total")
			within := gatewaytest.Refs(p.All(t, "Patient/onni/*"+query))
			posted := p.Do(t, "POST", "_search", strings.TrimPrefix(query, "?")+"&_total=accurate&_count=1").Want(t, 200).Doc(t).Text("total")
			if slices.Sort(within); total != posted || !slices.Equal(within, sorted) {
				t.Errorf("%s: counts %s and %s, in the compartment %q", p, total, posted, within)
			}
		}
		asked := g.Nurse().Get(t, "?_type=Condition,Observation&patient=Patient/onni").Header.Get("X-Request-Id")
		event := g.Auditor().Get(t, "AuditEvent/"+asked).Doc(t)
		if event.Text("subtype", "code") != "search-system" || !strings.Contains(string(event.JSON()), "?_type=Condition,Observation&patient=Patient/onni") {
			t.Errorf("the record of a search across types: %s", event.JSON())
		}
		g.Nurse().Do(t, "GET", "?_type=Condition,AuditEvent", nil).Outcome(t, 400)
	})
}

// A tag is added by who may change the resource, beside its labels, which stay as they are; it is found from then on.
func TestTagsOfOnesOwn(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, worker := g.Nurse(), g.SocialWorker()
		created := nurse.Create(t, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/aino"}}`)
		at := gatewaytest.Ref(created)
		add := `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"system":"https://vendor.example/tags","code":"follow-up"}]}}]}`
		meta := nurse.Do(t, "POST", at+"/$meta-add", add).Want(t, 200).Doc(t).Get("parameter").Items()[0].Get("valueMeta")
		if meta.Text("versionId") != "2" || meta.Text("tag", "code") != "follow-up" || meta.Text("security", "code") != "health" {
			t.Errorf("after $meta-add: %s", meta.JSON())
		}
		find := func(p *gatewaytest.Party) []string {
			return gatewaytest.Refs(p.All(t, "?_type=Observation,Condition&_tag=https://vendor.example/tags%7Cfollow-up"))
		}
		if got := find(nurse); !slices.Equal(got, []string{at}) {
			t.Errorf("by the tag: %q", got)
		}
		if got := find(worker); len(got) > 0 {
			t.Errorf("another register finds %q by the tag", got)
		}
		worker.Do(t, "POST", at+"/$meta-add", add).Outcome(t, 404)
		meta = nurse.Do(t, "POST", at+"/$meta-delete", add).Want(t, 200).Doc(t).Get("parameter").Items()[0].Get("valueMeta")
		if meta.Get("tag") != nil || meta.Text("security", "code") != "health" || len(find(nurse)) > 0 {
			t.Errorf("after $meta-delete: %s", meta.JSON())
		}
		nurse.Do(t, "POST", at+"/$meta-add", strings.Replace(add, `"tag"`, `"security"`, 1)).Outcome(t, 400)
		if got := fhir.ID(nurse.Get(t, at+"/_history/2").Doc(t)); got != fhir.ID(created) {
			t.Errorf("the version of the tag is kept: %q", got)
		}
	})
}
