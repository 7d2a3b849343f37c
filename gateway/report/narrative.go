package report

import (
	"html"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the table's times are Finnish, also where the machine knows no time zones

	"sotesilta/consent"
	"sotesilta/consent/ledger"
)

// finnish is the clock of the table.
var finnish = func() *time.Location {
	loc, err := time.LoadLocation("Europe/Helsinki")
	if err != nil {
		panic("report: " + err.Error()) // the zone is compiled in
	}
	return loc
}()

func (r *Report) title() string {
	if r.Form == Section11 {
		return "Lokitiedot pyynnöstä, " + registers[r.Register] + " (703/2023 § 11)"
	}
	return "Omien tietojeni käyttö ja luovutukset (703/2023 § 74)"
}

// registers are the registers' names in Finnish.
var registers = map[consent.Register]string{
	consent.Health: "potilasrekisteri", consent.Social: "sosiaalihuollon asiakasrekisteri",
	consent.Identity: "väestötiedot", consent.Directive: "luvat ja kiellot", consent.Directory: "hakemisto",
}

// deeds are what was done, in Finnish.
var deeds = map[string]string{
	"read": "katselu", "vread": "version katselu", "history-instance": "muutoshistorian katselu", "search-type": "haku", "search-system": "haku",
	"create": "kirjaaminen", "update": "muuttaminen", "delete": "poistaminen", "transaction": "kirjaaminen",
	"match": "tunnistaminen", "apply": "yhteisasiakkuuden prosessin aloitus", "receive": "sanoman vastaanotto",
	"notify": "sanoman lähetys", "evaluate": "oikeuden kysely", "disclosure-report": "lokitietojen katselu",
	"publish": "väestötietojen päivitys", "disclose": "luovutus", "correct": "virheen korjaaminen", "erase": "säilytysajan päättyminen",
}

// contents are what data are about, in Finnish, by resource type.
var contents = map[string]string{
	"Patient": "henkilötiedot", "Observation": "mittaus tai havainto", "Condition": "diagnoosi tai ongelma", "Encounter": "käynti",
	"EpisodeOfCare": "hoito- tai asiakassuhde", "QuestionnaireResponse": "kysely tai arvio", "ServiceRequest": "lähete tai palvelupyyntö",
	"DocumentReference": "asiakirja", "Appointment": "ajanvaraus", "CarePlan": "suunnitelma", "CareTeam": "tiimi", "Task": "tehtävä",
	"Consent": "lupa, kielto tai suostumus", "Provenance": "alkuperätieto", "Communication": "viesti", "AuditEvent": "lokitieto",
}

// narrative is the table that people read.
func (r *Report) narrative() string {
	var b strings.Builder
	b.WriteString(`<div xmlns="http://www.w3.org/1999/xhtml" lang="fi" xml:lang="fi"><p>`)
	put := func(s string) { b.WriteString(html.EscapeString(s)) }
	put(r.title() + ". ")
	switch {
	case r.Form == Section11:
		put("Rekisterinpitäjä: " + r.name(r.Controller) + ". ")
	default:
		put("Tietojen saajina näkyvät organisaatiot, eivät henkilöt. Kaikkia ilmoituksia viranomaisille ei näytetä tässä (703/2023 § 74.2, 621/1999 § 11.2); lokitiedot saa pyytämällä rekisterinpitäjältä kirjallisesti (§ 11). ")
	}
	put("Laadittu " + r.clock(r.Made) + ".")
	if r.Withheld > 0 {
		put(" Rekisterinpitäjä on päättänyt jättää osan riveistä antamatta (703/2023 § 11); päätös annetaan kirjallisesti.")
	}
	if r.Counted != nil {
		put(" Lokissa on " + strconv.FormatInt(r.Counted.all(), 10) + " riviä")
		if r.Next != "" {
			put(" (kaikki sivut yhteensä)")
		}
		put(".")
	}
	if r.Next != "" {
		put(" Lokitietoja on lisää: seuraava sivu on pyydettävä erikseen.")
	}
	b.WriteString(`</p><table><thead><tr><th>Aika</th><th>Kuka</th><th>Mitä</th><th>Tapa</th><th>Peruste</th><th>Kielto tai muu este</th><th>Ratkaisu</th></tr></thead><tbody>`)
	for i := range r.Lines {
		rec := r.Lines[i].Record
		b.WriteString("<tr>")
		for _, cell := range []string{r.clock(rec.Time), r.who(rec), r.what(rec), kind(rec), basis(rec), hindrance(rec), answer(rec)} {
			b.WriteString("<td>")
			put(cell)
			b.WriteString("</td>")
		}
		b.WriteString("</tr>")
	}
	if len(r.Lines) == 0 {
		b.WriteString(`<tr><td colspan="7">Ei lokitietoja.</td></tr>`)
	}
	b.WriteString("</tbody></table></div>")
	return b.String()
}

func (r *Report) clock(t time.Time) string { return t.In(finnish).Format("2.1.2006 15.04.05") }

func (r *Report) name(ref string) string {
	if name := r.Names[ref]; name != "" {
		return name
	}
	return ref
}

// who is the organisation, and where the form names persons the person.
func (r *Report) who(rec *ledger.Record) string {
	var parts []string
	switch rec.Actor.Kind {
	case consent.Client:
		parts = append(parts, "asiakas itse")
	case consent.Guardian:
		parts = append(parts, "huoltaja")
	case consent.Representative:
		parts = append(parts, "valtuutettu tai edunvalvoja")
	default:
		if rec.Actor.Name != "" {
			parts = append(parts, rec.Actor.Name)
		}
		for _, org := range []string{rec.Actor.Unit, rec.Actor.Controller} {
			if name := r.name(org); org != "" && !slices.Contains(parts, name) {
				parts = append(parts, name)
			}
		}
	}
	if len(parts) == 0 {
		parts = append(parts, rec.Actor.App)
	}
	return strings.Join(parts, ", ")
}

func (r *Report) what(rec *ledger.Record) string {
	deed := deeds[rec.Interaction]
	if deed == "" {
		deed = rec.Interaction
	}
	var types []string
	for _, e := range rec.Entities {
		types = told(types, e.What)
	}
	if len(types) == 0 {
		types = told(types, rec.Target)
	}
	out := deed
	if len(types) > 0 {
		out += ": " + strings.Join(types, ", ")
	}
	if register := registers[rec.Register]; register != "" {
		out += " (" + register
		if rec.Controller != "" {
			out += ", " + r.name(rec.Controller)
		}
		out += ")"
	}
	return out
}

func told(types []string, ref string) []string {
	typ, _, _ := strings.Cut(ref, "/")
	name := contents[typ]
	if name == "" {
		name = typ
	}
	if name != "" && !slices.Contains(types, name) {
		types = append(types, name)
	}
	return types
}

func kind(rec *ledger.Record) string {
	if rec.Disclosure {
		return "luovutus"
	}
	return "käyttö"
}

// basis is what the exchange rested on: rows of the law, with the permits and consents that weighed for them. What was denied
// rested on nothing.
func basis(rec *ledger.Record) string {
	if rec.Outcome != permitted {
		return ""
	}
	var parts []string
	for _, b := range rec.Bases {
		parts = append(parts, b.ID+" "+b.TitleFi+" ("+b.Citation+")")
	}
	if will := others(rec); len(will) > 0 {
		parts = append(parts, strings.Join(will, ", "))
	}
	return strings.Join(parts, "; ")
}

// hindrance is what stopped an exchange, or left a part out of it: the client's bans by name. Of what was denied without
// one, that no basis stood; whatever else weighed opened it not.
func hindrance(rec *ledger.Record) string {
	bans := strings.Join(rec.Bans, ", ")
	switch {
	case rec.Outcome == permitted && bans != "":
		return "kielto rajasi osan pois: " + bans + " (703/2023 § 59)"
	case rec.Outcome == permitted:
		return ""
	case bans != "":
		return "asiakkaan kielto: " + bans + " (703/2023 § 59)"
	}
	out := "peruste puuttui tai ei riittänyt"
	if will := others(rec); len(will) > 0 {
		out += "; huomioon otettiin: " + strings.Join(will, ", ")
	}
	return out
}

// others are the directives that weighed and ban nothing.
func others(rec *ledger.Record) []string {
	return slices.DeleteFunc(slices.Clone(rec.Directives), func(d string) bool { return slices.Contains(rec.Bans, d) })
}

// permitted is the outcome of what was permitted.
const permitted = "permit"

func answer(rec *ledger.Record) string {
	switch {
	case rec.Outcome != permitted:
		return "evätty"
	case !rec.Success:
		return "sallittu, ei tehty"
	}
	return "sallittu"
}

// organisations are those that the report names and the directory has a name for, in order.
func (r *Report) organisations() []string {
	var out []string
	for _, ref := range r.mentioned() {
		if r.Names[ref] != "" {
			out = append(out, ref)
		}
	}
	return out
}

// mentioned are all organisations that the report is about, in order.
func (r *Report) mentioned() []string {
	var out []string
	add := func(ref string) {
		if strings.HasPrefix(ref, "Organization/") && !slices.Contains(out, ref) {
			out = append(out, ref)
		}
	}
	add(r.Controller)
	for i := range r.Lines {
		add(r.Lines[i].Record.Controller)
		add(r.Lines[i].Record.Actor.Unit)
		add(r.Lines[i].Record.Actor.Controller)
	}
	slices.Sort(out)
	return out
}

// Organisations are all that the report names: whoever fills Names asks the directory for these.
func (r *Report) Organisations() []string { return r.mentioned() }
