package exchange_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// Disclosures that lie far apart among what was permitted come on pages in their order, each once, wherever in what was
// looked through a page is full.
func TestDisclosuresFarApartArePaged(t *testing.T) {
	w := newWorld(t)
	theirs := w.put("jukola-ehr", observation("onni", "2026-01-10")).ID
	var disclosed []string
	for _, rec := range flat(w.records(func() {
		for _, who := range []string{worker, nurse, nurse, nurse, worker, worker, nurse, nurse, worker, nurse, worker} {
			_, err := w.Read(w.ctx, as(who), "Observation", theirs)
			require.NoError(t, err)
		}
	})) {
		if rec.Disclosed() {
			disclosed = append(disclosed, "AuditEvent/"+rec.ID)
		}
	}
	require.Len(t, disclosed, 5)
	slices.Reverse(disclosed) // the newest first
	for count := 1; count <= 4; count++ {
		q := query(t, "AuditEvent", "subtype=disclose&patient=Patient/onni&_count="+strconv.Itoa(count))
		var seen []string
		for {
			page, err := w.Search(w.ctx, as("auditor"), q)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.Matches), count)
			seen = append(seen, refs(page.Matches)...)
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
			require.Len(t, page.Matches, count, "a page with others after it is full")
		}
		require.Equal(t, disclosed, seen, "pages of %d", count)
	}
}
