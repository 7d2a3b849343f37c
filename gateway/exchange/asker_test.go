package exchange_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
)

// changing is the law where it may be exchanged for another at any moment: whoever asks it itself, and not what was in
// force when the exchange began, is told of.
type changing struct {
	consent.Decider
	t *testing.T
}

func (l changing) Current() consent.Decider { return l.Decider }

func (l changing) Decide(req consent.Request, class consent.Class, facts []*consent.Facts) consent.Decision {
	l.t.Errorf("%s of a %s was asked of the law of the moment", req.Action, class.Type)
	return l.Decider.Decide(req, class, facts)
}

func (l changing) Version() string {
	l.t.Error("the version of the law of the moment was asked for")
	return l.Decider.Version()
}

// mending makes each Task that is written an act of mending.
type mending struct{}

func (mending) Govern(_ context.Context, _ exchange.View, d *exchange.Draft) error {
	for _, item := range d.Items {
		if item.Type == "Task" {
			item.Act = &exchange.Act{Action: consent.Correct, Documents: []*exchange.Current{{Type: "Observation", ID: "x", Version: 1, Class: item.Class}}}
		}
	}
	return nil
}

// One law decides a whole exchange, whatever comes into force meanwhile: reads, searches, changes and human acts.
func TestAnExchangeIsDecidedByTheLawThatItBeganUnder(t *testing.T) {
	w := newWorldWith(t, exchange.Config{Law: changing{law(), t}, Rules: mending{}})
	row := w.put(nurse, observation("aino", "2026-02-01"))
	for _, ask := range w.releases(row) {
		_, _ = ask() // some are refused, by other rules
	}
	recs := flat(w.records(func() {
		_, _ = w.Transact(w.ctx, as(nurse), []exchange.Op{create(t, `{"resourceType":"Task","status":"requested","intent":"order","for":{"reference":"Patient/aino"}}`)})
	}))
	require.NotEmpty(t, recs)
	require.Equal(t, string(exchange.Correct), recs[0].Interaction)
}
