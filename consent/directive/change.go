package directive

import (
	"slices"

	"sotesilta/consent"
)

// Loosens says whether a ban lets anything pass, now or later, that it stopped before: it is withdrawn, ends earlier,
// begins later, or names less. A directive that was no ban in force loosens nothing.
func Loosens(before, after consent.Terms) bool {
	if before.Kind != consent.Ban || !before.Active {
		return false
	}
	if after.Kind != consent.Ban || !after.Active {
		return true
	}
	b, a := before.Valid, after.Valid
	switch {
	case !a.From.IsZero() && (b.From.IsZero() || a.From.After(b.From)), !a.To.IsZero() && (b.To.IsZero() || a.To.Before(b.To)):
		return true
	case before.AllHealth && !after.AllHealth:
		return true
	case before.Controller != "" && (after.Controller != before.Controller || after.Register != "" && after.Register != before.Register):
		// Only the ban on all patient data names more than one on a controller's patient register.
		return !(after.AllHealth && before.Register == consent.Health)
	}
	return less(before.ServiceTasks, after.ServiceTasks) || less(before.ServiceEvents, after.ServiceEvents) ||
		less(before.Documents, after.Documents)
}

// less says whether after lacks something of before.
func less(before, after []string) bool {
	return slices.ContainsFunc(before, func(s string) bool { return !slices.Contains(after, s) })
}

// Same says whether a new version is still the same directive: a permit of the same direction, a ban, or a consent to the
// same provision. What becomes another is another directive, given on its own.
func Same(before, after consent.Terms) bool {
	return before.Kind == after.Kind && before.From == after.From && before.To == after.To && before.Statute == after.Statute
}
