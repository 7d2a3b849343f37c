package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/exchange"
)

// retainCommand erases what is over its retention time, tells how long what is kept, and puts and ends legal holds. It works
// beside a running gateway, which erases by itself every hour, and by the terms that the gateway keeps in the store.
type retainCommand struct {
	settings
	lawSettings
	DryRun  bool   `help:"Only count: by class how many records there are, how many are over their time, the oldest, and when the next is over."`
	JSON    bool   `help:"Print what was found and done as JSON."`
	Hold    string `placeholder:"PATIENT" help:"Hold the records of the client with this Patient id back from erasure, while a dispute runs; --by and --reason say who decided, and why."`
	Release string `placeholder:"HOLD" help:"End the legal hold of this id; --by and --reason say who decided, and why."`
	By      string `help:"Who decided on a legal hold: a person, as the ledger will tell it."`
	Reason  string `help:"Why a legal hold was put or ended."`
}

// Run counts, and erases unless it is only to count. Everything that it changes is recorded.
func (r *retainCommand) Run(ctx context.Context, out streams) error {
	switch {
	case r.Hold != "" && (r.Release != "" || r.DryRun), r.Release != "" && r.DryRun:
		return errors.New("--hold, --release and --dry-run are each for itself")
	case (r.Hold != "" || r.Release != "") && (strings.TrimSpace(r.By) == "" || strings.TrimSpace(r.Reason) == ""):
		return errors.New("a legal hold is a person's decision: --by says who decided, --reason why")
	}
	n, sealing, err := r.open(ctx, out)
	if err != nil {
		return err
	}
	err = r.act(ctx, n, out)
	if sealing != nil && err == nil {
		// A running gateway gives the records their places; without one they get them here.
		observe := func([]ledger.Entry) { sealing.Committed() }
		err = exchange.NewSequencer(n.store, sealing.Seal, ledger.NewID(), 0, n.log, observe).Settle(ctx)
	}
	return errors.Join(err, n.Close())
}

// open opens the store, and unless it is only to count the ledger with its key: one that is not sound is not erased from.
func (r *retainCommand) open(ctx context.Context, out streams) (_ *node, sealing *ledger.Log, err error) {
	cfg := nodeConfig{Log: slog.New(slog.NewTextHandler(out.err, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	dir, err := r.keysFolder()
	if err != nil {
		return nil, nil, err
	}
	if cfg.KeptIn, err = r.place(&r.settings); err != nil { // where the sandbox keeps its checkpoint
		return nil, nil, err
	}
	cfg.settings = r.settings
	law, err := r.law(r.Policies, nil)
	if err != nil {
		return nil, nil, err
	}
	if !r.DryRun {
		if cfg.Keys, err = openKeys(dir, false); err != nil {
			return nil, nil, fmt.Errorf("SOTESILTA_KEYS: %w", err)
		}
	}
	_, stop := context.WithCancel(ctx)
	n := &node{log: cfg.Log, stop: stop}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if n.store, err = openStore(ctx, r.Store); err != nil {
		return nil, nil, err
	}
	if !r.DryRun {
		if sealing, err = n.openLedger(ctx, cfg); err != nil {
			return nil, nil, err
		}
	}
	n.desk, err = exchange.New(exchange.Config{
		Store: n.store, Law: law, Person: func(string) (consent.Actor, bool) { return consent.Actor{}, false }, Log: cfg.Log,
	})
	return n, sealing, err
}

// retained is what the command tells as JSON.
type retained struct {
	Erased   *int                `json:"erased,omitempty"` // now; missing when it only counted
	Hold     *exchange.LegalHold `json:"hold,omitempty"`
	Released *exchange.LegalHold `json:"released,omitempty"`
	*exchange.Retained
}

func (r *retainCommand) act(ctx context.Context, n *node, out streams) error {
	var told retained
	progress := func(format string) func(count int64) {
		if !terminal(os.Stderr) {
			return nil
		}
		return func(count int64) { fmt.Fprintf(out.err, "\r"+format, count) }
	}
	clear := func() {
		if terminal(os.Stderr) {
			fmt.Fprint(out.err, "\r\033[K")
		}
	}
	switch {
	case r.Hold != "":
		hold, err := n.desk.HoldBack(ctx, strings.TrimPrefix(r.Hold, "Patient/"), r.By, r.Reason)
		if err != nil {
			return plainly(err)
		}
		told.Hold = &hold
	case r.Release != "":
		hold, err := n.desk.ReleaseHold(ctx, r.Release, r.By, r.Reason)
		if err != nil {
			return plainly(err)
		}
		told.Released = &hold
	default:
		if !r.DryRun {
			var tell func(int)
			if show := progress("%d records erased"); show != nil {
				tell = func(erased int) { show(int64(erased)) }
			}
			erased, err := n.desk.Retainer().Erase(ctx, exchange.EraseAll, tell)
			clear()
			if err != nil {
				return plainly(err)
			}
			told.Erased = &erased
		}
		var err error
		told.Retained, err = n.desk.Retained(ctx, progress("%d records counted"))
		clear()
		if err != nil {
			return plainly(err)
		}
	}
	if r.JSON {
		text, err := json.MarshalIndent(told, "", "  ")
		if err == nil {
			_, err = fmt.Fprintf(out.out, "%s\n", text)
		}
		return err
	}
	return told.print(out.out)
}

// plainly is a refusal of the desk in its own words.
func plainly(err error) error {
	var refusal *exchange.Error
	if errors.As(err, &refusal) && len(refusal.Issues) > 0 {
		return errors.Join(errors.New(refusal.Issues[0].Diagnostics), refusal.Err)
	}
	return err
}

func (t *retained) print(w io.Writer) error {
	switch {
	case t.Hold != nil:
		_, err := fmt.Fprintf(w, "the records of Patient/%s are held back from erasure: legal hold %s\n", t.Hold.Client, t.Hold.ID)
		return err
	case t.Released != nil:
		_, err := fmt.Fprintf(w, "the records of Patient/%s are held back no more: legal hold %s, put %s by %s, is ended\n",
			t.Released.Client, t.Released.ID, t.Released.Since.Format(time.DateOnly), plain(t.Released.By))
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "class\tkept\trecords\tover\theld\toldest\tnext is over\tsource")
	for _, c := range t.Classes {
		years := "for ever"
		if c.Years > 0 {
			years = fmt.Sprintf("%d years from %s", c.Years, c.Since)
		}
		if c.Years > c.Least {
			years += fmt.Sprintf(" (the law: %d)", c.Least)
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", c.Class, years, c.Records, c.Over, c.Held, day(c.Oldest), day(c.Next), c.Source)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, h := range t.Holds {
		fmt.Fprintf(w, "legal hold %s: Patient/%s, since %s, by %s: %s\n", h.ID, h.Client, h.Since.Format(time.DateOnly), plain(h.By), plain(h.Reason))
	}
	erased := int64(0)
	if t.Erased != nil {
		erased = int64(*t.Erased)
		fmt.Fprintf(w, "%d records erased now\n", erased)
	}
	_, err := fmt.Fprintf(w, "%d records without content, erased before\n", t.Retained.Erased-erased)
	return err
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateOnly)
}
