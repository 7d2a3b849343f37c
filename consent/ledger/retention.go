package ledger

import "time"

// RetentionYears is how long log data and notices of disclosure are kept: "12 vuotta lokitapahtumasta" (703/2023,
// annex). Records of erasures are kept for ever: without them nobody could tell an erasure from tampering.
const RetentionYears = 12

// Expired is the moment whose records are over their retention time at now: what is older may be erased.
func Expired(now time.Time) time.Time { return now.AddDate(-RetentionYears, 0, 0) }

// early says that an erasure at a time came before the retention time of a record that was made no earlier than at
// newest, the time of the records before it, was over. The clocks of nodes may differ by minutes.
func early(erased, newest time.Time) bool {
	return !newest.IsZero() && Expired(erased).Add(patience).Before(newest)
}
