package exchange_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
)

// counted is the law that counts how often it is asked.
type counted struct {
	*consent.Engine
	asked atomic.Int64
}

func (c *counted) Decide(req consent.Request, class consent.Class, facts []*consent.Facts) consent.Decision {
	c.asked.Add(1)
	return c.Engine.Decide(req, class, facts)
}

// A search asks the law once for each label within reach, however many rows carry it.
func TestASearchDecidesPerClassNotPerRow(t *testing.T) {
	w := newWorld(t)
	for range 50 {
		w.put("jukola-ehr", observation("onni", "2026-01-10"))
	}
	law := &counted{Engine: law()}
	desk, err := exchange.New(exchange.Config{Store: w.store, Law: law, Person: registry().Person, Bases: []string{base}})
	require.NoError(t, err)
	q, err := search.Parse("Observation", []search.Pair{{Name: "patient", Value: "Patient/onni"}}, search.Options{DefaultCount: 100, MaxCount: 100})
	require.NoError(t, err)
	page, err := desk.Search(w.ctx, as(worker), q)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(page.Matches), 50)
	require.Less(t, law.asked.Load(), int64(10), "%d rows", len(page.Matches))
}
