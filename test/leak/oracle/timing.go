package oracle

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// FalseAlarm is the probability that a run over a server whose times tell nothing finds that they do: a measurement must
// find a difference at the level FalseAlarm divided by the number of questions, twice, on fresh samples and in the same
// direction. With the default of 2,000 pairs a question whose answers to hidden things are slower with a probability of
// 0.54 (AUC; 0.5 tells nothing) is found nine times of ten.
const FalseAlarm = 0.001

// timed are the questions that are timed: reads and searches, changes that are refused alike, and the question itself
// whether one may (OpenID AuthZEN 1.0), at the same host. None of them makes a resource with each asking.
var timed = []probe{
	{oracle: Time, request: get("{type}/{id}")},
	{oracle: Time, feature: "vread", request: get("{type}/{id}/_history/1")},
	{oracle: Time, feature: "history-instance", request: get("{type}/{id}/_history")},
	{oracle: Time, request: get("{type}?_id={id}")},
	{oracle: Time, feature: "?identifier", request: get("{type}?identifier={system}%7C{value}")},
	{oracle: Time, feature: accessEvaluation, request: post("", `{"subject":{subject},"action":{"name":"read"},"resource":{"type":"{type}","id":"{id}"}}`,
		"Content-Type", "application/json")},
	{oracle: Time, feature: "update", write: true, request: request{method: http.MethodPut, path: "{type}/{id}", body: "{resource}"}},
	{oracle: Time, feature: "patch", write: true, request: request{
		method: http.MethodPatch, path: "{type}/{id}", body: `[{"op":"test","path":"/id","value":"{id}"}]`, header: []string{"Content-Type", patchJSON},
	}},
	{oracle: Time, feature: "conditional-delete", write: true, request: request{method: http.MethodDelete, path: "{type}?_id={id}"}},
	{oracle: Time, feature: "delete", write: true, request: request{method: http.MethodDelete, path: "{type}/{id}"}},
}

// timedOfPatient are those about a client whom the asker may not know to be there.
var timedOfPatient = []probe{
	{oracle: Time, request: get("Patient/{patient}")},
	{oracle: Time, request: get("Patient?_id={patient}")},
	{oracle: Time, feature: "$everything", request: get("Patient/{patient}/$everything")},
	{oracle: Time, feature: "update", write: true, request: request{method: http.MethodPut, path: "Patient/{patient}", body: `{"resourceType":"Patient","id":"{patient}"}`}},
}

// accessEvaluation is the feature of answering AuthZEN's question; no CapabilityStatement names it.
const accessEvaluation = "access evaluation"

// questions is how many questions may be timed: the level of each is FalseAlarm divided by them.
var questions = float64(len(timed) + len(timedOfPatient))

// measurements are the steps that time answers. Those of changes come last: a server that lets them be made has nothing
// left that is hidden.
func (b *battery) measurements(w *world) (reads, writes []step) {
	all := []struct {
		probes []probe
		of     *twin
	}{{timed, nil}, {timedOfPatient, w.hiddenPatient}}
	if len(w.resources) > 0 {
		all[0].of = w.resources[0]
	}
	for _, group := range all {
		switch {
		case b.Pairs <= 0:
			b.untried(group.probes, "no sample was asked for (--pairs)")
			continue
		case group.of == nil:
			b.untried(group.probes, "nothing that is hidden is known")
			continue
		}
		for _, p := range group.probes {
			if p.feature == accessEvaluation {
				p.path = b.besideBase("/access/v1/evaluation")
			}
			one := step{"time of " + p.String(), func(ctx context.Context) error { return b.time(ctx, p, group.of) }}
			switch {
			case p.write && !b.Write:
				b.untried([]probe{p}, "it writes: --write")
			case p.write:
				writes = append(writes, one)
			default:
				reads = append(reads, one)
			}
		}
	}
	return reads, writes
}

// timeable says whether a question can be put, and finds why it cannot.
func (b *battery) timeable(p probe, tw *twin) bool {
	typ := tw.hidden["type"]
	if strings.HasPrefix(p.path, "Patient") {
		typ = "Patient"
	}
	why, verdict := "", Unsupported
	switch missing := lacking(p, tw.hidden); {
	case missing != "":
		why, verdict = "{"+missing+"} of what is hidden is not known", Untried
	case p.feature == accessEvaluation && b.Subject == "":
		why, verdict = "who asks is not known by the server's name (--subject)", Untried
	case p.feature != "" && p.feature != accessEvaluation && b.can.known && !b.can.serves(typ, p.feature):
		why = "not in the CapabilityStatement"
	}
	if why != "" {
		b.find(Time, "time of "+p.with(tw.hidden).String(), verdict, why)
	}
	return why == ""
}

// time puts a question in pairs, hidden and absent in random order, and finds out whether one of them takes longer.
func (b *battery) time(ctx context.Context, p probe, tw *twin) error {
	if !b.timeable(p, tw) {
		return nil
	}
	shown := "time of " + p.with(tw.hidden).String()
	level := FalseAlarm / questions
	first, err := b.sample(ctx, p, tw)
	if err != nil {
		return err
	}
	if first.p >= level {
		b.find(Time, shown, Clean, first.String())
		return nil
	}
	second, err := b.sample(ctx, p, tw)
	if err != nil {
		return err
	}
	if second.p < level && (second.z > 0) == (first.z > 0) {
		b.find(Time, shown, Leak, second.String())
		return nil
	}
	b.find(Time, shown, Clean, second.String()+", a first sample not confirmed")
	return nil
}

// comparison is what a sample of pairs says.
type comparison struct {
	pairs  int
	z, p   float64       // of the signed-rank test, two-sided
	auc    float64       // probability that a hidden answer takes longer than an absent one
	median time.Duration // of the differences
}

func (c comparison) String() string {
	return fmt.Sprintf("AUC %.3f, median difference %s, p = %.2g of %d pairs", c.auc, c.median.Round(100*time.Nanosecond), c.p, c.pairs)
}

func (b *battery) sample(ctx context.Context, p probe, tw *twin) (comparison, error) {
	sides := [2]map[string]string{tw.hidden, tw.absent}
	var took [2][]time.Duration
	for n := -20; n < b.Pairs; n++ { // the first are to warm up
		order := [2]int{0, 1}
		if rand.N(2) == 0 {
			order = [2]int{1, 0}
		}
		for _, side := range order {
			a, _, err := b.ask(ctx, p, sides[side])
			if err != nil {
				return comparison{}, err
			}
			if n >= 0 {
				took[side] = append(took[side], a.took)
			}
		}
	}
	return compareTimes(took[0], took[1]), nil
}

// compareTimes compares paired times by Wilcoxon's signed-rank test (normal approximation, ties at their mean rank): a
// machine that slows down for a while meets both sides of a pair alike.
func compareTimes(hidden, absent []time.Duration) comparison {
	type difference struct {
		size time.Duration
		more bool // the hidden one took longer
	}
	var all []difference
	var signed []time.Duration
	for i := range hidden {
		d := hidden[i] - absent[i]
		signed = append(signed, d)
		if d != 0 {
			all = append(all, difference{d.Abs(), d > 0})
		}
	}
	slices.SortFunc(all, func(x, y difference) int { return cmp.Compare(x.size, y.size) })
	n, sum, ties := float64(len(all)), 0., 0.
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].size == all[i].size {
			j++
		}
		rank, t := float64(i+j+1)/2, float64(j-i)
		ties += t*t*t - t
		for ; i < j; i++ {
			if all[i].more {
				sum += rank
			}
		}
	}
	c := comparison{pairs: len(hidden), p: 1, auc: aboveShare(hidden, absent)}
	if n > 0 {
		c.z = (sum - n*(n+1)/4) / math.Sqrt(n*(n+1)*(2*n+1)/24-ties/48)
		c.p = math.Erfc(math.Abs(c.z) / math.Sqrt2)
		slices.Sort(signed)
		c.median = signed[len(signed)/2]
	}
	return c
}

// aboveShare is the share of all couples in which the first is longer, equal ones counted half.
func aboveShare(first, second []time.Duration) float64 {
	if len(first) == 0 || len(second) == 0 {
		return 0.5
	}
	second = slices.Sorted(slices.Values(second))
	sum := 0.
	for _, d := range first {
		below, _ := slices.BinarySearch(second, d)
		upTo, _ := slices.BinarySearch(second, d+1)
		sum += float64(below) + float64(upTo-below)/2
	}
	return sum / float64(len(first)) / float64(len(second))
}
