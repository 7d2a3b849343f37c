package search

import "regexp"

var identityCode = regexp.MustCompile(`\d{6}[-+A-FU-Ya-fu-y]\d{3}[0-9A-Ya-y]`)

// secret says whether text holds what looks like a personal identity code.
func secret(text string) bool { return identityCode.MatchString(text) }
