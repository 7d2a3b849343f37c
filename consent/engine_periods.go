package consent

import (
	"slices"
	"time"
)

// union joins periods that touch or overlap, earliest first. An open period among them makes the whole open: nil.
func union(periods []Period) []Period {
	for _, p := range periods {
		if p == (Period{}) {
			return nil
		}
	}
	if len(periods) < 2 {
		return periods
	}
	sorted := slices.Clone(periods)
	slices.SortFunc(sorted, func(a, b Period) int { return a.From.Compare(b.From) }) // the zero time is the earliest
	out := sorted[:1]
	for _, p := range sorted[1:] {
		last := &out[len(out)-1]
		if !last.To.IsZero() && p.From.After(last.To) {
			out = append(out, p)
			continue
		}
		last.To = later(last.To, p.To)
	}
	if out[0] == (Period{}) {
		return nil
	}
	return out
}

// intersect is what lies in a period of both lists.
func intersect(a, b []Period) []Period {
	var out []Period
	for _, p := range a {
		for _, q := range b {
			both := Period{From: p.From, To: earlier(p.To, q.To)}
			if q.From.After(p.From) {
				both.From = q.From
			}
			if both.To.IsZero() || both.From.Before(both.To) {
				out = append(out, both)
			}
		}
	}
	return out
}

// later is the later of two ends; a zero end is open.
func later(a, b time.Time) time.Time {
	if a.IsZero() || b.IsZero() {
		return time.Time{}
	}
	if a.After(b) {
		return a
	}
	return b
}

// earlier is the earlier of two ends; a zero end is open.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
