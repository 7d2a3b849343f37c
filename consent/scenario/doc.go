// Package scenario runs the scenarios of consent/bases/scenarios: for every row of the table of legal bases who, what and
// whose data, and what follows. They are written for people who know the law and not the code; this package turns them
// into requests and facts, asks the law, and tells what was asked and answered in plain words.
//
// A file is a YAML list of scenarios, each with basis (the row it is about), title, given (what is known of the client,
// and answers to open questions), when (who does what with which data) and then (what must follow). cast.yaml names the
// people, units and places that scenarios speak of. Unknown words are refused with file and line.
package scenario
