package consent

import (
	"slices"
	"strings"
)

// Plain is an explanation as the client reads it, in Finnish (fi) and English (en): whether data about them may be
// processed, and why. It names the client's own directives and the law, and nobody else.
func (x *Explained) Plain() map[string]string {
	switch x.Outcome {
	case Permitted.String():
		fi, en := "Tietoa saa käsitellä", "The data may be processed"
		for i, basis := range x.Bases {
			separator := "; "
			if i == 0 {
				separator = ": "
			}
			fi += separator + basis.TitleFi + " (" + basis.Citation + ")"
			en += separator + basis.TitleEn + " (" + basis.Citation + ")"
		}
		if of := x.consents(Permit, Assent); of != "" {
			fi += ". Tämä perustuu antamaasi lupaan tai suostumukseen (" + of + ")"
			en += ". This rests on the permit or consent that you gave (" + of + ")"
		}
		return map[string]string{"fi": fi + ".", "en": en + "."}
	case NeedsHuman.String():
		switch {
		case x.stops("ATL-26.2"):
			return map[string]string{
				"fi": "Tieto on erityissuojattu: sen käyttö on erikseen vahvistettava (703/2023 § 26.2).",
				"en": "The data are specially protected: their use must be confirmed separately (703/2023 § 26.2).",
			}
		case x.stops("ATL-59"):
			return map[string]string{
				"fi": "Luovutuskieltosi" + named(x.consents(Ban)) + " koskee tätä tietoa. Ihminen ratkaisee, saako sen lain nojalla silti luovuttaa.",
				"en": "Your ban" + named(x.consents(Ban)) + " covers these data. A person decides whether the law lets them be disclosed all the same.",
			}
		}
		return map[string]string{
			"fi": "Tietoa ei luovuteta itsestään: ihminen ratkaisee asian tapauskohtaisesti.",
			"en": "The data are not disclosed by themselves: a person decides in each case.",
		}
	}
	for i := range x.Policies {
		p := &x.Policies[i]
		if p.Verdict != Stopped {
			continue
		}
		if slices.Contains(p.By, "ATL-59") {
			return map[string]string{
				"fi": "Luovutuskieltosi" + named(x.consents(Ban)) + " estää tämän (703/2023 § 59).",
				"en": "Your ban" + named(x.consents(Ban)) + " stops this (703/2023 § 59).",
			}
		}
		for j := range x.Policies {
			if limit := &x.Policies[j]; limit.Verdict == Limits && slices.Contains(p.By, limit.Basis.ID) {
				return map[string]string{
					"fi": "Laki rajaa tämän pois: " + limit.Basis.TitleFi + " (" + limit.Basis.Citation + ").",
					"en": "The law leaves this out: " + limit.Basis.TitleEn + " (" + limit.Basis.Citation + ").",
				}
			}
		}
	}
	switch {
	case x.fails("related", "participant"):
		return map[string]string{
			"fi": "Kysyjällä ei ole sinuun asiakas- tai hoitosuhdetta, jota tietojen käsittely edellyttää (703/2023 § 9).",
			"en": "Who asks has no care or client relationship with you, which processing the data needs (703/2023 § 9).",
		}
	case x.fails("permits", "assents") && x.lapsed() != nil:
		w := x.lapsed()
		id, _, _ := strings.Cut(w.Directive, "/_history/")
		return map[string]string{
			"fi": "Tähän tarvittaisiin lupasi tai suostumuksesi. Antamasi (" + id + ") on voimassa " + w.Valid.toldFi() + ", ja käsittelyn aika oli " + toldFi(x.at) + ".",
			"en": "This would need your permit or consent. The one you gave (" + id + ") is in force " + w.Valid.told() + ", and the exchange was at " + told(x.at) + ".",
		}
	case x.fails("permits", "assents"):
		return map[string]string{
			"fi": "Tähän tarvittaisiin lupasi tai suostumuksesi. Sitä ei ole voimassa, tai se ei kata tätä tietoa tai vastaanottajaa.",
			"en": "This would need your permit or consent. None is in force, or it does not cover these data or this recipient.",
		}
	}
	return map[string]string{
		"fi": "Laki ei anna tähän perustetta.",
		"en": "The law gives no basis for this.",
	}
}

// lapsed is the first permit or consent whose period alone does not reach the exchange; nil without one.
func (x *Explained) lapsed() *Weighed {
	for i := range x.Will {
		w := &x.Will[i]
		if w.outOfTime && (w.Kind == Permit || w.Kind == Assent) {
			return w
		}
	}
	return nil
}

func named(directives string) string {
	if directives == "" {
		return ""
	}
	return " (" + directives + ")"
}

// stops says whether a limit holds some row back.
func (x *Explained) stops(limit string) bool {
	return slices.ContainsFunc(x.Policies, func(p Considered) bool { return slices.Contains(p.By, limit) })
}

// fails says whether a row fails on a condition about one of these.
func (x *Explained) fails(about ...string) bool {
	return slices.ContainsFunc(x.Policies, func(p Considered) bool { return p.Verdict == Fails && slices.Contains(about, p.about) })
}

// consents are the directives of some kinds that act in the decision, by Consent/id.
func (x *Explained) consents(kinds ...Will) string {
	var out []string
	for _, w := range x.Will {
		acts := w.Effect == "bans" || w.Effect == "bans-documents" || slices.Contains(x.Directives, w.Directive)
		if acts && slices.Contains(kinds, w.Kind) {
			id, _, _ := strings.Cut(w.Directive, "/_history/")
			out = append(out, id)
		}
	}
	return strings.Join(out, ", ")
}
