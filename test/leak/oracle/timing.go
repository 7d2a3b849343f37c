package oracle

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// FalseAlarm is the probability that a run over a server whose times tell nothing finds that they do: a measurement must
// find a difference at the level FalseAlarm divided by the number of questions, twice, on fresh samples and in the same
// direction. With the default of 2,000 pairs a question whose answers to hidden things are slower with a probability of
// 0.54 (AUC; 0.5 tells nothing) is found nine times of ten.
const FalseAlarm = 0.001

// timed are the questions that are timed.
var timed = []probe{
	{oracle: Time, request: get("{type}/{id}")},
	{oracle: Time, feature: "vread", request: get("{type}/{id}/_history/1")},
	{oracle: Time, feature: "history-instance", request: get("{type}/{id}/_history")},
	{oracle: Time, request: get("{type}?_id={id}")},
}

// measurements are the steps that time answers.
func (b *battery) measurements(w *world) []step {
	if b.Pairs <= 0 || len(w.resources) == 0 {
		b.untried(timed, "no sample was asked for (--pairs)")
		return nil
	}
	var out []step
	for _, p := range timed {
		out = append(out, step{"time of " + p.String(), func(ctx context.Context) error { return b.time(ctx, p, w.resources[0]) }})
	}
	return out
}

// time puts a question in pairs, hidden and absent in random order, and finds out whether one of them takes longer.
func (b *battery) time(ctx context.Context, p probe, tw *twin) error {
	shown := "time of " + p.with(tw.hidden).String()
	level := FalseAlarm / float64(len(timed))
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
	questions := [2]request{p.with(tw.hidden), p.with(tw.absent)}
	var took [2][]time.Duration
	for n := -20; n < b.Pairs; n++ { // the first are to warm up
		order := [2]int{0, 1}
		if rand.N(2) == 0 {
			order = [2]int{1, 0}
		}
		for _, side := range order {
			a, err := b.asker.do(ctx, questions[side])
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
