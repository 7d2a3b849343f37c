package fhirpath

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// tokenKind is what a token is.
type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenName             // an identifier or keyword
	tokenQuoted           // a delimited identifier, which is never a keyword
	tokenString
	tokenNumber
	tokenDate     // @2015, @2015-02-04T14:34:28Z: the text without @
	tokenTime     // @T14:30: the text without @T
	tokenVariable // %name
	tokenSymbol   // an operator or bracket, and $this, $index, $total
)

type token struct {
	kind tokenKind
	text string
	at   int
}

// SyntaxError tells what is wrong with an expression and where. It quotes nothing of the expression but single symbols,
// so it may be shown and logged.
type SyntaxError struct {
	Offset int // bytes from the start of the expression
	Msg    string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("fhirpath: %s (byte %d)", e.Msg, e.Offset) }

func fail(at int, format string, args ...any) *SyntaxError {
	return &SyntaxError{Offset: at, Msg: fmt.Sprintf(format, args...)}
}

// symbols are the operators and brackets, longer ones first.
var symbols = []string{"<=", ">=", "!=", "!~", "(", ")", "[", "]", "{", "}", ".", ",", "+", "-", "*", "/", "&", "|", "=", "~", "<", ">"}

// tokens cuts an expression into its tokens (FHIRPath N1 § Lexical Elements).
func tokens(s string) ([]token, error) {
	var out []token
	for i := 0; ; {
		i = skipSpace(s, i)
		if i < 0 {
			return nil, fail(len(s), "a comment does not end")
		}
		if i == len(s) {
			return append(out, token{tokenEnd, "", i}), nil
		}
		if len(out) >= maxTokens {
			return nil, fail(i, "the expression has more than %d tokens", maxTokens)
		}
		t, next, err := scan(s, i)
		if err != nil {
			return nil, err
		}
		out, i = append(out, t), next
	}
}

// skipSpace is where the next token begins, or -1 where a comment does not end.
func skipSpace(s string, i int) int {
	for i < len(s) {
		switch {
		case s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r':
			i++
		case strings.HasPrefix(s[i:], "//"):
			end := strings.IndexAny(s[i:], "\r\n")
			if end < 0 {
				return len(s)
			}
			i += end
		case strings.HasPrefix(s[i:], "/*"):
			end := strings.Index(s[i+2:], "*/")
			if end < 0 {
				return -1
			}
			i += end + 4
		default:
			return i
		}
	}
	return i
}

func scan(s string, i int) (token, int, error) {
	switch c := s[i]; {
	case isLetter(c):
		end := name(s, i)
		return token{tokenName, s[i:end], i}, end, nil
	case isDigit(c):
		end := digits(s, i)
		if end+1 < len(s) && s[end] == '.' && isDigit(s[end+1]) {
			end = digits(s, end+1)
		}
		return token{tokenNumber, s[i:end], i}, end, nil
	case c == '\'' || c == '`' || c == '"':
		text, end, err := quoted(s, i)
		kind := tokenString
		if c != '\'' {
			kind = tokenQuoted
		}
		return token{kind, text, i}, end, err
	case c == '@':
		return scanDate(s, i)
	case c == '%':
		if i+1 < len(s) && (s[i+1] == '`' || s[i+1] == '\'' || s[i+1] == '"') {
			text, end, err := quoted(s, i+1)
			return token{tokenVariable, text, i}, end, err
		}
		end := i + 1
		for end < len(s) && (isLetter(s[end]) || isDigit(s[end])) {
			end++
		}
		if end == i+1 {
			return token{}, 0, fail(i, "a name must follow %%")
		}
		return token{tokenVariable, s[i+1 : end], i}, end, nil
	case c == '$':
		end := name(s, i+1)
		switch text := s[i:end]; text {
		case "$this", "$index", "$total":
			return token{tokenSymbol, text, i}, end, nil
		}
		return token{}, 0, fail(i, "after $ stands this, index or total")
	}
	for _, symbol := range symbols {
		if strings.HasPrefix(s[i:], symbol) {
			return token{tokenSymbol, symbol, i}, i + len(symbol), nil
		}
	}
	return token{}, 0, fail(i, "this character has no meaning here")
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

func name(s string, i int) int {
	for i < len(s) && (isLetter(s[i]) || isDigit(s[i])) {
		i++
	}
	return i
}

func digits(s string, i int) int {
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return i
}

// scanDate reads @YYYY[-MM[-DD]][Thh:mm:ss.fff[zone]] or @Thh:mm:ss.fff; whether there is such a day is asked later.
func scanDate(s string, i int) (token, int, error) {
	start, kind := i+1, tokenDate
	if start < len(s) && s[start] == 'T' {
		start, kind = start+1, tokenTime
	}
	end := start
	for end < len(s) && (isDigit(s[end]) || s[end] == ':' || s[end] == '-' && kind == tokenDate || s[end] == '+' && kind == tokenDate ||
		s[end] == '.' && end+1 < len(s) && isDigit(s[end+1]) || kind == tokenDate && (s[end] == 'T' || s[end] == 'Z')) {
		end++
	}
	text := s[start:end]
	ok := validTime(text)
	if kind == tokenDate {
		_, ok = dateOf(text)
	}
	if !ok {
		return token{}, 0, fail(i, "this is not a date or time")
	}
	return token{kind, text, i}, end, nil
}

// quoted reads what stands between two of the same quotes, with its escapes.
func quoted(s string, i int) (string, int, error) {
	quote, start := s[i], i
	var b strings.Builder
	for i++; i < len(s); i++ {
		switch c := s[i]; c {
		case quote:
			return b.String(), i + 1, nil
		case '\\':
			if i++; i == len(s) {
				return "", 0, fail(start, "a string does not end")
			}
			switch s[i] {
			case 'r':
				b.WriteByte('\r')
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'f':
				b.WriteByte('\f')
			case 'u':
				if i+4 >= len(s) {
					return "", 0, fail(i, "\\u takes four hexadecimal digits")
				}
				n, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
				if err != nil {
					return "", 0, fail(i, "\\u takes four hexadecimal digits")
				}
				b.WriteRune(rune(n))
				i += 4
			case '\\', '/', '\'', '"', '`':
				b.WriteByte(s[i])
			default: // R4's own rules escape characters that need none, such as \. within a regular expression
				b.WriteByte('\\')
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, fail(start, "a string does not end")
}

func validText(s string) bool { return utf8.ValidString(s) }
