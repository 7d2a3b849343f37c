package ledger

import (
	"time"

	"sotesilta/consent"
)

// Records of the sandbox county, as the tests need them.

func at(minute int) time.Time { return time.Date(2026, 11, 21, 10, minute, 0, 0, time.UTC) }

func socialWorker() consent.Actor {
	return consent.Actor{
		Kind: consent.Professional, App: "county-social", User: "social-worker", Name: "Saara Sosiaali",
		Person: "Practitioner/social-worker", Role: "PractitionerRole/social-worker",
		Controller: "Organization/county", Register: consent.Social, Unit: "Organization/county-social",
		Units: []string{"Organization/county-social"}, Task: "10.1.1", Authority: true,
	}
}

// readPermit: the social worker reads onni's observation of the health register by onni's permit.
func readPermit() *Record {
	return &Record{
		ID: "0b6c9b1e-7a55-4d53-9d0a-0f5c3c1f0001", Exchange: "0b6c9b1e-7a55-4d53-9d0a-0f5c3c1f0001", Time: at(0),
		Interaction: "read", Outcome: "permit", Success: true,
		Actor: socialWorker(), Purpose: consent.Care, TokenID: "jti-1",
		Client: "onni", Controller: "Organization/county", Register: consent.Health, Disclosure: true,
		Target:   "Observation/1",
		Entities: []Entity{{What: "Observation/1/_history/3", Role: "match"}},
		Bases: []consent.Basis{{
			ID: "ATL-53.2", Citation: "703/2023 § 53.2",
			TitleFi: "Potilastiedot sosiaalihuoltoon luovutusluvalla", TitleEn: "Patient data to social care by permit",
		}},
		Directives: []string{"Consent/onni-permit/_history/1"}, Evidence: []string{"EpisodeOfCare/onni-social"},
		Facts: 7, Policy: "sha256:5f2c",
		Classes: []consent.Class{{
			Type: "Observation", Clients: []string{"onni"}, Controller: "Organization/county", Register: consent.Health,
			Author: "jukola-ehr", Unit: "Organization/jukola",
		}},
	}
}
