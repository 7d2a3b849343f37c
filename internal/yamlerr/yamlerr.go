// Package yamlerr tells what is wrong with a YAML file in the words of who wrote it: people who answer for the law, the
// county's lists and the settings read these errors, and no types of Go.
package yamlerr

import (
	"errors"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// unknownMember is how the YAML reader says that a member is not one of a structure's.
var unknownMember = regexp.MustCompile(`^(line \d+): field (.+) not found in type (?s:.*)`)

// Plain is an error of the YAML reader with lines and members, without types. Other errors stay as they are.
func Plain(err error) error {
	var failed *yaml.TypeError
	if !errors.As(err, &failed) {
		return err
	}
	texts := make([]string, len(failed.Errors))
	for i, text := range failed.Errors {
		texts[i] = unknownMember.ReplaceAllString(text, "$1: $2 is unknown")
	}
	return errors.New(strings.Join(texts, "; "))
}
