package oracle

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// grown are the questions whose traces in a public log are counted.
var grown = []probe{
	{oracle: Log, request: get("{type}/{id}")},
	{oracle: Log, feature: "vread", request: get("{type}/{id}/_history/1")},
	{oracle: Log, feature: "history-instance", request: get("{type}/{id}/_history")},
	{oracle: Log, request: get("{type}?_id={id}&_include=*")},
	{oracle: Log, feature: "$validate", request: post("{type}/{id}/$validate", "")},
	{oracle: Log, feature: "update", write: true, request: request{
		method: http.MethodPut, path: "{type}/{id}", body: "{resource}", header: []string{"If-Match", `W/"999"`},
	}},
	{oracle: Log, feature: "delete", write: true, request: request{method: http.MethodDelete, path: "{type}/{id}", header: []string{"If-Match", `W/"999"`}}},
}

// growth counts, for each question, by how much a log that anybody may read grows: a server that keeps one (a transparency
// log in the form of C2SP tlog-checkpoint) may note no more of what is hidden than of what is absent. Nobody else may use
// the server meanwhile; what comes out differently when it is counted again is told as not tried.
func (b *battery) growth(ctx context.Context, w *world) error {
	if len(w.resources) == 0 {
		b.untried(grown, "nothing hidden is known")
		return nil
	}
	if _, ok, err := b.logSize(ctx); err != nil || !ok {
		b.untried(grown, "no public log at "+b.logAddress())
		return err
	}
	tw := w.resources[0]
	for _, p := range grown {
		if p.write && (!b.Write || tw.hidden["resource"] == "") {
			b.untried([]probe{p}, "it writes: --write")
			continue
		}
		if err := b.grows(ctx, p, tw); err != nil {
			return err
		}
	}
	return nil
}

// grows counts the traces of one question about both sides.
func (b *battery) grows(ctx context.Context, p probe, tw *twin) error {
	shown := "entries of the public log after " + p.with(tw.hidden).String()
	var hidden, absent, control int
	for range 3 {
		for _, c := range []struct {
			side map[string]string
			into *int
		}{{tw.absent, &absent}, {tw.hidden, &hidden}, {tw.control, &control}} {
			var err error
			if *c.into, err = b.traces(ctx, p, c.side); err != nil {
				return err
			}
		}
		if hidden == absent && absent == control {
			b.find(Log, shown, Clean, fmt.Sprintf("%d alike", hidden))
			return nil
		}
	}
	if absent != control {
		b.find(Log, shown, Untried, "the log grows by itself: somebody else uses the server")
		return nil
	}
	b.find(Log, shown, Leak, fmt.Sprintf("%d for what is hidden, %d for what is absent", hidden, absent))
	return nil
}

// traces is by how many entries the log grows when a question is put three times.
func (b *battery) traces(ctx context.Context, p probe, side map[string]string) (int, error) {
	before, err := b.settled(ctx)
	if err != nil {
		return 0, err
	}
	for range 3 {
		if _, _, err := b.ask(ctx, p, side); err != nil {
			return 0, err
		}
	}
	after, err := b.settled(ctx)
	return after - before, err
}

// settled is the size of the log once it has not grown for a moment: entries may be placed after the answer.
func (b *battery) settled(ctx context.Context) (int, error) {
	last, since := -1, time.Now()
	for deadline := time.Now().Add(b.Patience); time.Now().Before(deadline); {
		size, _, err := b.logSize(ctx)
		if err != nil {
			return 0, err
		}
		if size != last {
			last, since = size, time.Now()
		}
		if time.Since(since) > min(60*time.Millisecond, b.Patience/4) {
			break
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return last, nil
}

func (b *battery) logAddress() string { return b.besideBase("/ledger/checkpoint") }

// besideBase is the address of a path of the base's host.
func (b *battery) besideBase(path string) string {
	base, err := url.Parse(b.Base)
	if err != nil {
		return b.Base
	}
	return base.Scheme + "://" + base.Host + path
}

// logSize reads the size in a checkpoint: its second line.
func (b *battery) logSize(ctx context.Context) (size int, ok bool, err error) {
	a, err := b.anybody.do(ctx, get(b.logAddress()))
	if err != nil || a.status != http.StatusOK {
		return 0, false, err
	}
	if lines := strings.SplitN(string(a.body), "\n", 3); len(lines) == 3 {
		size, err = strconv.Atoi(lines[1])
		return size, err == nil, nil
	}
	return 0, false, nil
}
