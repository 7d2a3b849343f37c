package main

import (
	"testing"

	"sotesilta/internal/official"
)

func TestTheCommittedTablesAreThoseOfTheDefinitions(t *testing.T) { official.Committed(t, compile) }
