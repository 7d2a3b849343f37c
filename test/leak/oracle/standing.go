package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// beside asks what names nothing hidden, has the preparer write something hidden, and asks again: nothing may differ
// that did not differ between two askings before.
func (b *battery) beside(ctx context.Context, w *world) error {
	if b.preparer == nil || !b.Write {
		b.untried(standing, "it needs a preparer who writes (--prepare-…, --write)")
		return b.whole(ctx)
	}
	mark := random(b.mark)
	side := map[string]string{"type": b.Type, "codes": b.codes, "code": "code-" + mark}
	var before [2][]aspects
	var answers []*answer
	for round := range before {
		for _, p := range standing {
			a, seen, err := b.ask(ctx, p, side)
			if err != nil {
				return err
			}
			before[round], answers = append(before[round], seen), append(answers, a)
		}
	}
	pages := map[string]string{}
	for name, query := range walks {
		var err error
		if pages[name], err = b.walk(ctx, b.Type+query); err != nil {
			return err
		}
	}
	id, err := wrote(ctx, b.preparer, b.Type, b.fill(templates[b.Type], b.Patient, mark, ""))
	if err != nil {
		return fmt.Errorf("the preparer cannot write what is to be hidden: %w", err)
	}
	for i, p := range standing {
		a, after, err := b.ask(ctx, p, side)
		if err != nil {
			return err
		}
		shown := p.with(side).String() + ", after something hidden was written"
		diff := differing(after, before[1][i], before[0][i])
		switch {
		case strings.Contains(string(a.body), id):
			o := p.oracle
			if p.broad && (o == Total || o == Link) {
				o = Search
			}
			b.find(o, shown, Leak, "it holds what was written")
		case len(diff) > 0:
			b.tell(p, shown, diff, after, before[1][i])
		case a.status >= 400 && !b.can.serves(b.Type, p.feature), p.feature == "" && a.status == http.StatusBadRequest:
			b.find(p.oracle, shown, Unsupported, fmt.Sprintf("%d alike", answers[i].status))
		default:
			b.find(p.oracle, shown, Clean, "as before")
		}
	}
	for name, query := range walks {
		after, err := b.walk(ctx, b.Type+query)
		if err != nil {
			return err
		}
		shown := "pages of /" + b.Type + query + ", after something hidden was written"
		switch changed := fmt.Sprintf("rows a page were %s and are %s", pages[name], after); {
		case after == pages[name]:
			b.find(Oracle(name), shown, Clean, "rows a page are "+after)
		case strings.Count(after, "1") > strings.Count(pages[name], "1"):
			b.find(Search, shown, Leak, changed) // it is the row itself that shows
		default:
			b.find(Oracle(name), shown, Leak, changed)
		}
	}
	return nil
}

// walks are the searches whose pages are counted, by their oracle.
var walks = map[string]string{
	string(Page): "?_count=1",
	string(Sort): "?_count=1&_sort=-_lastUpdated",
}

// maxPages bounds a walk through pages.
const maxPages = 50

// walk goes through the pages of a search, and answers how many rows each has.
func (b *battery) walk(ctx context.Context, path string) (string, error) {
	var rows []string
	for range maxPages {
		a, err := b.asker.do(ctx, get(path))
		if err != nil {
			return "", err
		}
		d, err := a.doc()
		if a.status != http.StatusOK || err != nil {
			return strings.Join(append(rows, fmt.Sprint(a.status)), " "), nil
		}
		rows = append(rows, fmt.Sprint(len(d.matches())))
		if path = d.link("next"); path == "" {
			break
		}
	}
	if len(rows) == maxPages {
		return fmt.Sprintf("%s… (the first %d pages)", strings.Join(rows[:8], " "), maxPages), nil
	}
	return strings.Join(rows, " "), nil
}

// whole is what can be said of pages without a preparer: one with a next link is full.
func (b *battery) whole(ctx context.Context) error {
	for name, query := range walks {
		rows, err := b.walk(ctx, b.Type+query)
		if err != nil {
			return err
		}
		counts := strings.Fields(rows)
		if short := slices.Index(counts[:max(len(counts)-1, 0)], "0"); short >= 0 {
			b.find(Oracle(name), "pages of /"+b.Type+query, Leak, fmt.Sprintf("page %d is empty and has a next page", short+1))
			continue
		}
		b.find(Oracle(name), "pages of /"+b.Type+query, Clean, "every page with a next one is full")
	}
	return nil
}

// match asks Patient/$match for the denied client and for another whom the server knows as well, or for nobody.
func (b *battery) match(ctx context.Context, w *world) error {
	const shown = "POST /Patient/$match"
	switch {
	case w.patient == nil || w.identity.Value == "":
		b.find(Match, shown, Untried, "the client's identifier is not known (--identifier, or a preparer)")
		return nil
	case w.hiddenPatient == nil && b.Twin == "":
		b.find(Match, shown, Untried, "the asker may see the client")
		return nil
	}
	other := w.identity
	other.Value, other.Family, other.Given = random(other.Value), random(other.Family), random(other.Given)
	if b.Twin != "" && b.preparer != nil {
		a, err := b.preparer.do(ctx, get("Patient/"+b.Twin))
		if err != nil {
			return err
		}
		if other = identityOf(a.body, identity{}); other.Value == "" {
			b.find(Match, shown, Untried, "the preparer sees no identifier of Patient/"+b.Twin)
			return nil
		}
	}
	ask := func(who identity) (string, int, error) {
		person, _ := json.Marshal(map[string]any{
			"resourceType": "Patient", "identifier": []any{map[string]string{"system": who.System, "value": who.Value}},
			"name": []any{map[string]any{"family": who.Family, "given": []string{who.Given}}},
		})
		a, err := b.asker.do(ctx, post("Patient/$match", `{"resourceType":"Parameters","parameter":[{"name":"resource","resource":`+string(person)+`}]}`))
		if err != nil {
			return "", 0, err
		}
		text := fmt.Sprint(a.status)
		if d, err := a.doc(); err == nil {
			text += fmt.Sprintf(", total %s, %d entries", d.Total, len(d.Entry))
		}
		return text, a.status, nil
	}
	hidden, status, err := ask(w.identity)
	if err != nil {
		return err
	}
	absent, _, err := ask(other)
	switch {
	case err != nil:
		return err
	case hidden != absent:
		b.find(Match, shown, Leak, hidden+" for the denied client, "+absent+" for the other")
	case status >= 400 && !b.can.serves("Patient", "$match"):
		b.find(Match, shown, Unsupported, hidden+" alike")
	default:
		b.find(Match, shown, Clean, hidden+" alike")
	}
	return nil
}
