package ledger

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/consent"
)

// RetentionYears is how long log data and notices of disclosure are kept at least: "12 vuotta lokitapahtumasta" (703/2023,
// annex). It is the least of every class of records, so Verify holds an erasure to it without knowing the class: when the
// content is gone nobody can tell the class any more, and no class may be erased earlier.
const RetentionYears = 12

// maxRetentionYears bounds what a controller may lengthen a class to: no text of the annex keeps anything longer.
const maxRetentionYears = 120

// The classes of what is kept, codes of CodeSystem/retention-class.
const (
	KeptUse            = "use"
	KeptDisclosure     = "disclosure"
	KeptNotice         = "notice"
	KeptAdministration = "administration"
	KeptErasure        = "erasure"
	KeptNewest         = "directive-newest"
	KeptEarlier        = "directive-earlier"
)

// Retention is a class of what is kept, by how long.
type Retention struct {
	Class    string // a code
	TitleFi  string
	Of       string // what falls into it
	Years    int    // the least, from Since; 0: for ever
	Since    string // from what moment
	TermFi   string // both, for people
	Source   string
	SourceFi string
}

const (
	ofEvent = "the event"
	annex   = "703/2023 § 24, annex"
	annexFi = "703/2023 § 24, liite"
)

// Retentions are all classes: those of records, then those of directives, whose versions are rows and no records.
var Retentions = []Retention{
	{
		Class: KeptUse, TitleFi: "Käyttölokitiedot", Of: "use of data within a register, and what was asked for and denied or not there",
		Years: RetentionYears, Since: ofEvent, TermFi: "12 vuotta lokitapahtumasta; sisältö poistetaan, merkintä poistosta jää", Source: annex, SourceFi: annexFi,
	},
	{
		Class: KeptDisclosure, TitleFi: "Luovutuslokitiedot", Of: "disclosures, and those that were denied",
		Years: RetentionYears, Since: ofEvent, TermFi: "12 vuotta lokitapahtumasta; sisältö poistetaan, merkintä poistosta jää", Source: annex, SourceFi: annexFi,
	},
	{
		Class: KeptNotice, TitleFi: "Luovutusilmoitukset", Of: "disclosures of the social register that happened: what notices of disclosure are made from",
		Years: RetentionYears, Since: ofEvent, TermFi: "12 vuotta lokitapahtumasta; sisältö poistetaan, merkintä poistosta jää", Source: annex, SourceFi: annexFi,
	},
	{
		Class: KeptAdministration, TitleFi: "Yhdyskäytävän oma hallinto",
		Of:    "what is published, the law and the rights in force, refused tokens, legal holds, and every reading of the ledger",
		Years: RetentionYears, Since: ofEvent, TermFi: "12 vuotta tapahtumasta: yhtä kauan kuin lokitiedot, joita se selittää",
		Source: "no time in the law (906/2019 § 17): as long as the log data that it explains", SourceFi: "laissa ei aikaa (906/2019 § 17)",
	},
	{
		Class: KeptErasure, TitleFi: "Poistojen merkinnät", Of: "erasures when a retention time was over", TermFi: "pysyvästi: ilman niitä poistoa ei erottaisi väärennöksestä; ne eivät nimeä ketään",
		Source: "none: without them nobody could tell an erasure from tampering; they name counts of a node, and no person", SourceFi: "ei säädöstä; lokin eheys",
	},
	{
		Class: KeptNewest, TitleFi: "Tahdonilmaisut, uusin versio", Of: "the newest version of a permit, ban or consent, and its Provenance",
		Years: RetentionYears, Since: "the client's death", TermFi: "12 vuotta kuolemasta", Source: annex, SourceFi: annexFi,
	},
	{
		Class: KeptEarlier, TitleFi: "Tahdonilmaisut, edeltävät versiot", Of: "earlier versions of a permit, ban or consent",
		Years: RetentionYears, Since: "the version after it", TermFi: "12 vuotta uuden version laatimisesta", Source: annex, SourceFi: annexFi,
	},
}

// retentionOf is the class of a code; nil when there is none.
func retentionOf(class string) *Retention {
	if i := slices.IndexFunc(Retentions, func(r Retention) bool { return r.Class == class }); i >= 0 {
		return &Retentions[i]
	}
	return nil
}

// administrative are the interactions of the gateway's own administration.
var administrative = []string{"publish", "rights", "token", "disclosure-notices", "explain", "simulate", Hold, Release, KeepTerms}

// The interactions of retention beside Erase: a legal hold was put on a client's records, or ended; how long classes are kept
// was changed.
const (
	Hold      = "hold"
	Release   = "release"
	KeepTerms = "keep-terms"
)

// Retention is the class that the record is kept in. It follows from what the record says, and from nothing else.
func (r *Record) Retention() string {
	switch typ, _, _ := strings.Cut(r.Target, "/"); {
	case r.Interaction == Erase:
		return KeptErasure
	case typ == "AuditEvent", slices.Contains(administrative, r.Interaction):
		return KeptAdministration
	case r.Disclosed() && (r.Register == consent.Social || slices.ContainsFunc(r.Classes, func(c consent.Class) bool { return c.In(consent.Social) })):
		return KeptNotice
	case r.Disclosure:
		return KeptDisclosure
	}
	return KeptUse
}

// Terms are how many years classes are kept, where a controller lengthened them.
type Terms map[string]int

// ParseTerms reads terms as CLASS=YEARS. What is shorter than the law's is an error that says so.
func ParseTerms(list []string) (Terms, error) {
	terms := Terms{}
	for _, text := range list {
		class, years, ok := strings.Cut(text, "=")
		n, err := strconv.Atoi(years)
		of := retentionOf(class)
		switch _, twice := terms[class]; {
		case !ok || err != nil:
			return nil, fmt.Errorf("%q is not of the form use=15", text)
		case of == nil:
			return nil, fmt.Errorf("%q: there is no class %q; the classes are %s", text, class, strings.Join(lengthened(), ", "))
		case of.Years == 0:
			return nil, fmt.Errorf("%q: %s are kept for ever", text, of.Of)
		case n < of.Years:
			return nil, fmt.Errorf("%q: shorter than the law: these are kept %d years from %s (%s), and a controller may only lengthen that", text, of.Years, of.Since, of.Source)
		case n > maxRetentionYears:
			return nil, fmt.Errorf("%q: more than %d years", text, maxRetentionYears)
		case twice:
			return nil, fmt.Errorf("%q: the class is there twice", text)
		}
		terms[class] = n
	}
	return terms, nil
}

// lengthened are the classes that a term may lengthen.
func lengthened() (out []string) {
	for _, r := range Retentions {
		if r.Years > 0 {
			out = append(out, r.Class)
		}
	}
	return out
}

// Years are how long a class is kept; 0: for ever.
func (t Terms) Years(class string) int {
	if of := retentionOf(class); of == nil || of.Years == 0 {
		return 0
	} else {
		return max(of.Years, t[class])
	}
}

// Steps are the different numbers of years that classes of records are kept, the longest first.
func (t Terms) Steps() (years []int) {
	for _, class := range []string{KeptUse, KeptDisclosure, KeptNotice, KeptAdministration} {
		years = append(years, t.Years(class))
	}
	slices.Sort(years)
	years = slices.Compact(years)
	slices.Reverse(years)
	return years
}

// List are the terms as ParseTerms reads them, in the order of Retentions.
func (t Terms) List() (out []string) {
	for _, r := range Retentions {
		if years := t[r.Class]; years > r.Years {
			out = append(out, r.Class+"="+strconv.Itoa(years))
		}
	}
	return out
}

// Expired is the moment whose records are over the least retention time at now: what is newer may not be erased.
func Expired(now time.Time) time.Time { return ExpiredAfter(now, RetentionYears) }

// ExpiredAfter is the moment before which all is older than so many years at now.
func ExpiredAfter(now time.Time, years int) time.Time { return now.AddDate(-years, 0, 0) }

// early says that an erasure at a time came before the retention time of a record that was made no earlier than at
// newest, the time of the records before it, was over. The clocks of nodes may differ by minutes.
func early(erased, newest time.Time) bool {
	return !newest.IsZero() && Expired(erased).Add(patience).Before(newest)
}

// retained are the details of an AuditEvent that tell its class, and until when the law keeps it at least.
func (r *Record) retained() [][2]string {
	class := r.Retention()
	until := "for ever"
	if years := Terms(nil).Years(class); years > 0 {
		until = r.Time.UTC().AddDate(years, 0, 0).Format(time.DateOnly)
	}
	return [][2]string{{"retention", class}, {"kept-until", until}}
}
