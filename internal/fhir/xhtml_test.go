package fhir

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNarrativesHoldFormattingOnly(t *testing.T) {
	const ns = ` xmlns="http://www.w3.org/1999/xhtml"`
	for _, div := range []string{
		`<div` + ns + `>text</div>`, "\n<div class=\"a\"" + ns + "><p style='x'>ä &amp; &#228; &#xe4; &nbsp;</p><br/><!-- c --></div> ",
		`<div` + ns + `><img src="data:image/png;base64,AA==" alt=""/></div>`, `<div` + ns + `><a href="#x">1</a><a href="a/b:c">2</a><a href="https://a.fi/?a=1&amp;b=2">3</a></div>`,
		`<div` + ns + `><table><tr><td colspan="2">1</td></tr></table></div>`,
	} {
		assert.True(t, IsXHTML(div), div)
	}
	for _, div := range []string{
		``, `text`, `<div>text</div>`, `<div` + ns + `></div>`, `<div` + ns + `/>`, `<div` + ns + `> <p/> </div>`, `<p` + ns + `>x</p>`,
		`<div` + ns + `>x`, `<div` + ns + `>x</p>`, `<div` + ns + `><b><i>x</b></i></div>`, `<div` + ns + `>x</div><div>y</div>`, `<div` + ns + `>x</div>y`,
		`<div` + ns + `>x<script>1</script></div>`, `<div` + ns + `>x<SCRIPT/></div>`, `<div` + ns + ` onclick="x">x</div>`, `<div` + ns + `>x<form/></div>`,
		`<div` + ns + `>x<iframe/></div>`, `<div` + ns + `>x<svg/></div>`, `<div` + ns + `><a href="javascript:x">x</a></div>`,
		`<div` + ns + `><a href="JaVaScript:x">x</a></div>`, `<div` + ns + `><a href="java&#115;cript:x">x</a></div>`, `<div` + ns + `><a href=" javascript:x">x</a></div>`,
		"<div" + ns + "><a href=\"java\tscript:x\">x</a></div>", `<div` + ns + `><a href="javascript&colon;x">x</a></div>`, `<div` + ns + `><a href="data:text/html,x">x</a></div>`,
		`<div` + ns + `>&x</div>`, `<div` + ns + `>& x</div>`, `<div` + ns + `>&#;</div>`, `<div` + ns + `>x<?x?></div>`, `<div` + ns + `>x<![CDATA[x]]></div>`,
		`<!DOCTYPE div><div` + ns + `>x</div>`, `<div` + ns + ` style=x>x</div>`, `<div xmlns="other">x</div>`, `<div` + ns + `>x<p xmlns="http://www.w3.org/2000/svg"/></div>`,
		`<div` + ns + `>x<!-- -- --></div>`, "<div" + ns + ">x\x00</div>", `<div` + ns + `>` + strings.Repeat("<b>", 300) + "x" + strings.Repeat("</b>", 300) + `</div>`,
	} {
		assert.False(t, IsXHTML(div), div)
	}
}

func FuzzNarrative(f *testing.F) {
	f.Add(`<div xmlns="http://www.w3.org/1999/xhtml"><p style='x'>ä &amp; <img src="data:image/png,x"/></p><!-- c --></div>`)
	f.Fuzz(func(t *testing.T, s string) {
		if IsXHTML(s) && strings.Contains(strings.ToLower(s), "<script") && !strings.Contains(s, "<!--") {
			t.Fatal("a script passes")
		}
	})
}
