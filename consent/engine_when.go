package consent

import "time"

// told is a moment for people: the date where it is midnight in Finland, otherwise with the time.
func told(t time.Time) string {
	if t = t.In(finnish); t.Equal(midnight(t)) {
		return t.Format(time.DateOnly)
	}
	return t.Format("2006-01-02T15:04:05Z07:00")
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}

// told is a period for people: "from 2026-01-01 to 2026-03-31". Days are told whole, the last one included.
func (p Period) told() string {
	switch {
	case p == (Period{}):
		return "at any time"
	case p.To.IsZero():
		return "from " + told(p.From)
	case p.From.IsZero():
		return "to " + ending(p.To)
	}
	return "from " + told(p.From) + " to " + ending(p.To)
}

// ending is the end of a period, which is its first moment no more.
func ending(t time.Time) string {
	if t = t.In(finnish); t.Equal(midnight(t)) {
		return t.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	return told(t)
}

// toldFi is a period for people who read Finnish: 1.1.2026–31.3.2026.
func (p Period) toldFi() string {
	from, to := "", ""
	if !p.From.IsZero() {
		from = toldFi(p.From)
	}
	if !p.To.IsZero() {
		if to = toldFi(p.To); midnight(p.To.In(finnish)).Equal(p.To) {
			to = toldFi(p.To.In(finnish).AddDate(0, 0, -1))
		}
	}
	return from + "–" + to
}

func toldFi(t time.Time) string {
	if t = t.In(finnish); t.Equal(midnight(t)) {
		return t.Format("2.1.2006")
	}
	return t.Format("2.1.2006 klo 15.04")
}

// notInForce says, for the ledger and the auditor, why a directive does not count: inForce in words.
func (w *weighing) notInForce(t *Terms) string {
	switch {
	case !t.Active:
		return "withdrawn, or never made active"
	case !t.Valid.Contains(w.req.Time):
		return "in force " + t.Valid.told() + "; the exchange was at " + told(w.req.Time)
	case t.Kind == Ban:
		return "a guardian may not ban giving a minor's patient data in an emergency (703/2023 § 58.1)"
	}
	return "given by a guardian, which counts only while the client is a minor who cannot decide (703/2023 § 51)"
}
