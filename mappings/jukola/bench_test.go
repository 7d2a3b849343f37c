package jukola_test

import (
	"os"
	"testing"

	"sotesilta/mappings"
	"sotesilta/mappings/hl7v2"
	"sotesilta/mappings/jukola"
)

// BenchmarkVisit reads, translates and accounts for one ADT^A04 of seven segments.
func BenchmarkVisit(b *testing.B) {
	data, err := os.ReadFile("testdata/visit.hl7")
	if err != nil {
		b.Fatal(err)
	}
	lenses, err := jukola.Lenses()
	if err != nil {
		b.Fatal(err)
	}
	lens := mappings.Find(lenses, "jukola-adt")
	b.ReportAllocs()
	for b.Loop() {
		msg, err := hl7v2.Parse(data, hl7v2.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := mappings.Translate(lens, msg, setting); err != nil {
			b.Fatal(err)
		}
	}
}
