package ledger

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"sotesilta/consent"
)

// encoded is what the general encoder makes of a record: what Canonical must give.
func encoded(r *Record) string {
	open := oneLine(canonicalRecord{Version, r.Time.UTC().Format(timeForm), (*recordBody)(r.Open())})
	rest := r.sealed()
	sealed := sealedRecord{recordBody: (*recordBody)(rest)}
	if !reflect.DeepEqual(rest.Actor, consent.Actor{}) {
		sealed.Actor.actorBody = (*actorBody)(&rest.Actor)
	}
	return string(open) + "\n" + string(oneLine(sealed))
}

// texts are what a JSON encoder may stumble over.
var texts = rapid.OneOf(
	rapid.StringMatching(`[A-Za-z/-]{0,12}`),
	rapid.SampledFrom([]string{
		"", `"`, `\`, "<>&", "\n\t\b\f\r\x00\x1f", "\x7f", "\u2028", "a\u2029b", "äö §", "\xff", "ä\xc3", "\ufffd", "\U0001f600", "\xed\xa0\x80",
	}),
	rapid.String(),
)

// draw gives v any value, often none.
func draw(t *rapid.T, v reflect.Value) {
	if rapid.IntRange(0, 2).Draw(t, "none") == 0 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(texts.Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	case reflect.Int:
		v.SetInt(int64(rapid.Int().Draw(t, "number")))
	case reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "number"))
	case reflect.Slice:
		n := rapid.IntRange(0, 3).Draw(t, "length")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			draw(t, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			value := reflect.New(v.Type().Elem()).Elem()
			draw(t, value)
			v.SetMapIndex(reflect.ValueOf(texts.Draw(t, "key")), value)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.UnixMilli(rapid.Int64Range(0, 1<<42).Draw(t, "time")).In(time.FixedZone("", 7200))))
			return
		}
		for i := range v.NumField() {
			draw(t, v.Field(i))
		}
	default:
		panic("draw: " + v.Type().String())
	}
}

// TestTheWriterAgreesWithTheEncoder: the bytes written by hand are the encoder's, whatever the record holds.
func TestTheWriterAgreesWithTheEncoder(t *testing.T) {
	var full Record
	n := 0
	fill(reflect.ValueOf(&full).Elem(), &n)
	for _, r := range []*Record{{}, &full, readPermit()} {
		require.Equal(t, encoded(r), string(r.Canonical()))
	}
	// Every member of its own, so that one left out or put elsewhere is seen whatever is drawn.
	for i := range reflect.TypeFor[Record]().NumField() {
		var one Record
		n := 0
		fill(reflect.ValueOf(&one).Elem().Field(i), &n)
		require.Equal(t, encoded(&one), string(one.Canonical()))
	}
	rapid.Check(t, func(t *rapid.T) {
		var r Record
		draw(t, reflect.ValueOf(&r).Elem())
		if got, want := string(r.Canonical()), encoded(&r); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		if strings.Count(string(r.Canonical()), "\n") != 1 {
			t.Fatal("not two lines")
		}
	})
}
