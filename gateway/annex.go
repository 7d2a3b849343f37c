package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/mappings/jukola"
)

// annexCommand prints the annex for the data-protection impact assessment (GDPR 35; 1050/2018 § 6.2) as Markdown in
// Finnish, from the policies and mappings that are in force: what it says is what the gateway does.
type annexCommand struct {
	Policies string   `env:"SOTESILTA_POLICIES" help:"Folder of policy files that take the place of the built-in ones of the same name, as the gateway has them."`
	Switch   []string `help:"Another answer to an open question than its safe default, such as O11=on; wins over SOTESILTA_SWITCHES."`
	lawSettings
}

// Run prints the annex.
func (c *annexCommand) Run(out streams) error {
	law, err := c.law(c.Policies, c.Switch)
	if err != nil {
		return err
	}
	lenses, err := jukola.Lenses()
	if err != nil {
		return err
	}
	w := out.out
	fmt.Fprintf(w, "# Vaikutustenarvioinnin liite: tietojen käytön ja luovutuksen perusteet\n\n")
	fmt.Fprintf(w, "Sotesilta %s. Sääntöjen versio `%s`. Liite on tehty käytössä olevista säännöistä ja kuvauksista.\n", version, law.Version())
	bases(w, law)
	fmt.Fprintf(w, "\n## Avoimet tulkintakysymykset\n\nKysymykset ja vastausvaihtoehdot ovat tiedostossa `consent/bases/switches.yaml`.\n\n| kysymys | vastaus |\n|---|---|\n")
	answers := law.Switches()
	for _, name := range slices.SortedFunc(maps.Keys(answers), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	}) {
		row(w, name, answers[name])
	}
	fmt.Fprintf(w, "\n## Kuvaukset alueellisiin järjestelmiin\n\n")
	for _, lens := range lenses {
		s := lens.Summary()
		fmt.Fprintf(w, "### %s\n\nSuunta: %s. Sanoma: %s.\n\nSiirtyy:\n\n", lens, s.Direction(), lens.Type())
		for _, line := range s.Moves {
			fmt.Fprintf(w, "- %s\n", line)
		}
		fmt.Fprintf(w, "\nJätetään tarkoituksella pois:\n\n")
		for _, line := range s.Ignored {
			fmt.Fprintf(w, "- %s\n", line)
		}
		if len(s.Ignored) == 0 {
			fmt.Fprintf(w, "- ei mitään\n")
		}
		fmt.Fprintf(w, "\nKaikesta muusta, mikä ei siirry, syntyy jokaisesta sanomasta merkintä hävikkiraporttiin.\n\n")
	}
	fmt.Fprintf(w, "## Säilytysajat\n\n| tieto | säilytysaika | peruste |\n|---|---|---|\n")
	for _, r := range ledger.Retentions {
		row(w, r.TitleFi+" ("+r.Class+")", r.TermFi, r.SourceFi)
	}
	return nil
}

// bases prints the rows of the table of legal bases, the limits, and the rows that give no right.
func bases(w io.Writer, law *consent.Engine) {
	section := func(title, head string, keep func(consent.Row) bool, cells func(consent.Row) []string) {
		fmt.Fprintf(w, "\n## %s\n\n%s\n", title, head)
		for _, r := range law.Rows() {
			if keep(r) {
				row(w, cells(r)...)
			}
		}
	}
	section("Perusteet", "| tunnus | peruste | säännös | suunta | tiedot | kielto | velvoitteet | päättää |\n|---|---|---|---|---|---|---|---|",
		func(r consent.Row) bool { return !r.Limit && !r.GivesNone },
		func(r consent.Row) []string {
			who := "järjestelmä"
			if r.Human || r.Act {
				who = "ihminen"
			}
			return []string{r.ID, r.TitleFi, r.Citation, direction(r), scope(r), banInFinnish(r.Ban, law.Switches()), strings.Join(duties(r.Obligations), ", "), who}
		})
	section("Rajoitukset", "| tunnus | rajoitus | säännös | suunta | tiedot |\n|---|---|---|---|---|",
		func(r consent.Row) bool { return r.Limit },
		func(r consent.Row) []string { return []string{r.ID, r.TitleFi, r.Citation, direction(r), scope(r)} })
	section("Säännökset, jotka eivät anna oikeutta tietoon", "| tunnus | otsikko | säännös | oikeuden antaa |\n|---|---|---|---|",
		func(r consent.Row) bool { return r.GivesNone },
		func(r consent.Row) []string {
			return []string{r.ID, r.TitleFi, r.Citation, strings.Join(r.Instead, ", ")}
		})
}

// direction is from whom to whom, and scope which data.
func direction(r consent.Row) string { return both(r.DirectionFi, r.Direction) }
func scope(r consent.Row) string     { return both(r.ScopeFi, r.Scope) }

// both is the Finnish with the English of the policy files beside it, which their readers look for.
func both(fi, en string) string {
	if fi == "" || fi == en {
		return en
	}
	return fi + " (" + en + ")"
}

// banInFinnish says in Finnish what a ban does to a row.
func banInFinnish(ban string, switches map[string]string) string {
	if name, ok := strings.CutPrefix(ban, "switch:"); ok {
		return banInFinnish(switches[name], nil) + " (" + name + ")"
	}
	words := map[string]string{
		"yes": "estää", "stops": "estää", "no": "ei estä", "passes": "ei estä", "documents": "yksittäisen asiakirjan kielto estää",
		"human": "ihminen päättää", "needs-human": "ihminen päättää",
	}
	return cmp.Or(words[ban], ban)
}

// duties are the obligations in Finnish.
func duties(obligations []string) []string {
	words := map[string]string{"confirm": "vahvistus", "inform": "asiakkaalle kerrotaan", "justify": "perustelu", "source": "lähde kirjataan", "onward": "ei edelleen luovutettavaksi"}
	out := make([]string, len(obligations))
	for i, o := range obligations {
		out[i] = cmp.Or(words[o], o)
	}
	return out
}

// row is a row of a Markdown table.
func row(w io.Writer, cells ...string) {
	for i, cell := range cells {
		cells[i] = strings.NewReplacer("|", "\\|", "\n", " ").Replace(cell)
	}
	fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
}
