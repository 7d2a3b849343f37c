package answers

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

// The times of _at are written as in a search of dates (FHIR R4 § 3.1.0.12): a history has the versions that were current
// at some moment of them, whether it is of a resource, of its type or of the system.
func TestVersionsThatWereCurrentAtATime(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		made := nurse.Create(t, note("v1"))
		ref, at := gatewaytest.Ref(made), map[string]string{}
		for version := 1; ; version++ {
			at[fmt.Sprint(version)] = url.QueryEscape(made.Text("meta", "lastUpdated"))
			if version == 4 {
				break
			}
			time.Sleep(5 * time.Millisecond) // the times of versions are whole milliseconds
			made.Get("code").Set("text", fhir.NewString(fmt.Sprintf("v%d", version+1)))
			made = nurse.Do(t, "PUT", ref, string(made.JSON())).Want(t, 200).Doc(t)
		}
		for asked, want := range map[string]string{
			"_at=" + at["2"]:                          "2",
			"_at=eq" + at["2"]:                        "2",
			"_at=ge" + at["2"]:                        "4 3 2",
			"_at=gt" + at["2"]:                        "4 3 2", // the second lasted longer than that moment
			"_at=sa" + at["4"]:                        "4",
			"_at=lt" + at["2"]:                        "1",
			"_at=eb" + at["3"]:                        "2 1",
			"_at=le" + at["2"]:                        "2 1",
			"_at=ge" + at["2"] + "&_at=lt" + at["4"]:  "3 2",
			"_at=lt1970":                              "",
			"_at=gt2999":                              "4",
			"_at=ge" + at["3"] + "&_since=" + at["4"]: "4",
		} {
			for _, of := range []string{ref, "Observation", ""} {
				var got []string
				path := strings.TrimPrefix(of+"/_history?_count=500&", "/") + asked
				for _, e := range nurse.Get(t, path).Doc(t).Get("entry").Items() {
					if strings.HasSuffix(e.Text("fullUrl"), "/"+ref) {
						got = append(got, e.Text("resource", "meta", "versionId"))
					}
				}
				if strings.Join(got, " ") != want {
					t.Errorf("%s: versions %q, want %q", path, got, want)
				}
			}
		}
		for _, wrong := range []string{"ne2026", "ap2026", "ge", "2026-13"} {
			nurse.Do(t, "GET", ref+"/_history?_at="+wrong, nil).Outcome(t, 400)
		}
	})
}
