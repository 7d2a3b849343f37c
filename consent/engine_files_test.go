package consent

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Who writes a policy is told where it is wrong: the file and the line in which what is wrong stands.
func TestErrorsNameFileAndLine(t *testing.T) {
	const head = "// a comment: relatedd\n\n" + goodNotes + "\n"
	const read = "permit (principal is Professional, action == Action::\"read\", resource)\n"
	for _, test := range []struct{ name, file, text, complaint string }{
		{
			"an unknown attribute", "extra.cedar", head + read + "when { context.related }\nwhen { context.relatedd };",
			"consent/bases/extra.cedar:6: for policy `X-1`, attribute `relatedd`",
		},
		{
			"an attribute of another kind of actor", "extra.cedar", head + "permit (principal is Client, action == Action::\"read\", resource)\nwhen { principal.task == \"3.1\" };",
			"consent/bases/extra.cedar:5: for policy `X-1`, attribute `task` on entity type `Client`",
		},
		{"an unknown annotation", "extra.cedar", head + "@note(\"x\")\n" + read + ";", "consent/bases/extra.cedar:4: annotation @note is not known"},
		{"an annotation that is missing", "extra.cedar", "\n@id(\"X-1\")\n@title_fi(\"a\") @title_en(\"b\") @from(\"2024-01-01\")\n" + read + ";", "consent/bases/extra.cedar:2: annotation @citation is missing"},
		{"an annotation twice", "extra.cedar", head + "@from(\"2025-01-01\")\n" + read + ";", "consent/bases/extra.cedar:4:6: syntax:"},
		{"a bad date", "extra.cedar", "@id(\"X-1\") @citation(\"1\")\n@title_fi(\"a\") @title_en(\"b\")\n@from(\"1.1.2024\")\n" + read + ";", "consent/bases/extra.cedar:3: @from: \"1.1.2024\" is not a date"},
		{"a syntax error", "extra.cedar", head + read + "when { context. };", "consent/bases/extra.cedar:5:18: syntax:"},
		{"a policy that does not end", "extra.cedar", head + read + "when { context.related }", "consent/bases/extra.cedar:5:25: syntax:"},
		{"an unknown action", "extra.cedar", head + "permit (principal,\n  action == Action::\"peek\", resource);", "consent/bases/extra.cedar:5:"},
		{"a policy twice", "extra.cedar", head + read + ";\n\n" + goodNotes + "\n" + read + ";", "consent/bases/extra.cedar:7: the policy is there before, at consent/bases/extra.cedar:3"},
		{"an id of another row", "extra.cedar", head + read + ";\n\n@id(\"X-1\") @citation(\"2\") @title_fi(\"a\") @title_en(\"b\") @from(\"2024-01-01\")\n" + read + ";", "consent/bases/extra.cedar:7: row X-1 is written with another citation, title or effect before, at consent/bases/extra.cedar:3"},
		{"an unknown key", "switches.yaml", "O1:\n  question: x\n  valuess: [a]\n", "consent/bases/switches.yaml:3: field valuess not found"},
		{"a question without values", "switches.yaml", "# O1\nO1:\n  question: x\n", "consent/bases/switches.yaml:2: O1 lacks"},
		{"a row that lacks a reason", "none.yaml", "# rows\n- id: A-1\n  citation: c\n", "consent/bases/none.yaml:2: row \"A-1\" lacks"},
		{"a code without a source", "classes.yaml", "service-task:\n  x: {fi: a, en: b}\n", "consent/bases/classes.yaml:2: service-task x lacks"},
		{"YAML that is none", "acts.yaml", "facts:\n  a: [", "consent/bases/acts.yaml:2: "},
		{"a type that the schema does not know", "sotesilta.cedarschema", "entity Professional {\n  a: Strng\n};\n", "consent/bases/sotesilta.cedarschema:2: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := newEngine(broken(t, func(files map[string][]byte) { files[test.file] = []byte(test.text) }), Config{})
			require.ErrorContains(t, err, test.complaint)
		})
	}
}
