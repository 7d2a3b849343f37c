package fhir

import (
	"os"
	"testing"
)

// carePlan is the official example CarePlan/preg (3.6 KB compact), the document that the speeds in this package are
// measured with.
func carePlan(tb testing.TB) []byte {
	tb.Helper()
	data, err := os.ReadFile("testdata/CarePlan-preg.json")
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func BenchmarkParse(b *testing.B) {
	data := carePlan(b)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(data, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	v, err := Parse(carePlan(b), Limits{})
	if err != nil {
		b.Fatal(err)
	}
	buf := v.JSON()
	b.ReportAllocs()
	for b.Loop() {
		buf = v.AppendJSON(buf[:0])
	}
}

func BenchmarkReferences(b *testing.B) {
	v, err := Parse(carePlan(b), Limits{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for ref := range References(v) {
			ref.Parse()
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	v, err := Parse(carePlan(b), Limits{})
	if err != nil {
		b.Fatal(err)
	}
	if issues := Validate(v); len(issues) > 0 {
		b.Fatal(issues)
	}
	b.ReportAllocs()
	for b.Loop() {
		Validate(v)
	}
}

func BenchmarkLoadTables(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		loadTables()
	}
}
