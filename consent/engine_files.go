package consent

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"go.yaml.in/yaml/v3"
)

// readFiles reads the files of a folder, by name.
func readFiles(from fs.FS, folder string) (map[string][]byte, error) {
	entries, err := fs.ReadDir(from, folder)
	if err != nil {
		return nil, fmt.Errorf("consent: %w", err)
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		data, err := fs.ReadFile(from, path.Join(folder, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("consent: %w", err)
		}
		files[entry.Name()] = data
	}
	return files, nil
}

// noneRow is a row that gives no right of its own.
type noneRow struct {
	Basis   `yaml:"-"`
	Reason  string
	Instead []string
}

// readNone reads none.yaml: rows that people take for a right and that give none.
func readNone(files map[string][]byte, byID map[string]*policy) ([]noneRow, error) {
	const name = "none.yaml"
	var written []struct {
		ID       string   `yaml:"id"`
		Citation string   `yaml:"citation"`
		TitleFi  string   `yaml:"title_fi"`
		TitleEn  string   `yaml:"title_en"`
		Reason   string   `yaml:"reason"`
		Instead  []string `yaml:"instead"`
	}
	if err := strictYAML(files, name, &written); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var out []noneRow
	for _, w := range written {
		switch {
		case w.ID == "" || w.Citation == "" || w.TitleFi == "" || w.TitleEn == "" || w.Reason == "" || len(w.Instead) == 0:
			return nil, fmt.Errorf("%s: row %q lacks id, citation, titles, reason or instead", keyed(name, files, "id", w.ID), w.ID)
		case byID[w.ID] != nil:
			return nil, fmt.Errorf("%s: row %s is also a policy", keyed(name, files, "id", w.ID), w.ID)
		case seen[w.ID]:
			return nil, fmt.Errorf("%s: row %s is there twice", keyed(name, files, "id", w.ID), w.ID)
		}
		for _, other := range w.Instead {
			if p := byID[other]; p == nil || p.cedar.Effect() != cedar.Permit {
				return nil, fmt.Errorf("%s: row %s: instead: %s is no policy that permits", keyed(name, files, "id", w.ID), w.ID, other)
			}
		}
		seen[w.ID] = true
		out = append(out, noneRow{Basis{w.ID, w.Citation, w.TitleFi, w.TitleEn}, w.Reason, w.Instead})
	}
	return out, nil
}

// strictYAML reads a YAML file of consent/bases; unknown keys are errors.
func strictYAML(files map[string][]byte, name string, into any) error {
	if files[name] == nil {
		return fmt.Errorf("consent/bases/%s: there is no such file", name)
	}
	d := yaml.NewDecoder(bytes.NewReader(files[name]))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("consent/bases/%s%w", name, misread(err))
	}
	return nil
}

// Errors of the files name file and line: Cedar tells the line of a policy, or calls a file <input>; YAML does not tell
// where a key stands that lacks something.

// inParse is where Cedar's parser stopped.
var inParse = regexp.MustCompile(`(?s)^.*parse error at <input>:(\d+):(\d+) (.*)$`)

// unparsed is an error of syntax, at its place.
func unparsed(name string, err error) error {
	if m := inParse.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("consent/bases/%s:%s:%s: syntax: %s", name, m[1], m[2], m[3])
	}
	return fmt.Errorf("consent/bases/%s: %w", name, err)
}

// inQuestion is what an error is about: an attribute, an action or an annotation.
var inQuestion = regexp.MustCompile("attribute `(\\w+)`|attribute \"(\\w+)\"|action `([^`]+)`|(?:annotation )?(@\\w+)")

// blame is the place of an error in a policy that begins in a line: the line in which what the error is about stands.
func blame(name string, text []byte, line int, err error) string {
	at := func(n int) string { return "consent/bases/" + name + ":" + strconv.Itoa(n) }
	m := inQuestion.FindStringSubmatch(err.Error())
	if m == nil {
		return at(line)
	}
	word := m[1] + m[2] + m[3] + m[4]
	whole := regexp.MustCompile(`(^|\W)` + regexp.QuoteMeta(word) + `(\W|$)`)
	for i, row := range bytes.Split(text, []byte("\n")) {
		code, _, _ := bytes.Cut(row, []byte("//"))
		if i+1 >= line && whole.Match(code) {
			return at(i + 1)
		}
		if i+1 > line && bytes.HasPrefix(row, []byte("@id(")) {
			break // the next policy
		}
	}
	return at(line)
}

// keyed is the place of a key, or of a key with a value, in a YAML file.
func keyed(name string, files map[string][]byte, key, value string) string {
	pattern := `(^|[\s{,-])"?` + regexp.QuoteMeta(key) + `"?\s*:`
	if value != "" {
		pattern += `\s*"?` + regexp.QuoteMeta(value) + `"?([\s,}]|$)`
	}
	whole := regexp.MustCompile(pattern)
	for i, row := range bytes.Split(files[name], []byte("\n")) {
		if whole.Match(row) {
			return "consent/bases/" + name + ":" + strconv.Itoa(i+1)
		}
	}
	return "consent/bases/" + name
}

// inYAML is the line of the first error of the YAML reader.
var inYAML = regexp.MustCompile(`(?s)line (\d+): (.*)$`)

// misread puts the line of a YAML error behind the file's name.
func misread(err error) error {
	if m := inYAML.FindStringSubmatch(err.Error()); m != nil {
		return errors.New(":" + m[1] + ": " + strings.ReplaceAll(m[2], "\n", ";"))
	}
	return fmt.Errorf(": %w", err)
}
