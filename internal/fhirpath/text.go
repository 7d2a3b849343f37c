package fhirpath

import (
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// clock is the time that now() tells.
func (r *run) clock() time.Time {
	if r.now.IsZero() {
		r.now = time.Now()
	}
	return r.now
}

// textual is a function of a single text with arguments that are texts or numbers; without any of them it is empty.
func textual(arguments int, f func(r *run, s string, args []string) []Item) function {
	return function{arguments, arguments, func(c *compiler, n *node) (step, error) {
		args := make([]eval, len(n.args))
		for i, arg := range n.args {
			var err error
			if args[i], err = c.compile(arg); err != nil {
				return nil, err
			}
		}
		name := n.text + "()"
		return func(r *run, in []Item) []Item {
			s, ok := r.single(in, name)
			if !ok {
				return nil
			}
			r.spend(len(s) / 64)
			var room [3]string
			texts := room[:0]
			for _, arg := range args {
				text, ok := r.single(arg(r), name)
				if !ok {
					return nil
				}
				texts = append(texts, text)
			}
			return f(r, s, texts)
		}, nil
	}}
}

// asking is a textual function whose answer is a boolean.
func asking(arguments int, f func(s string, args []string) bool) function {
	return textual(arguments, func(r *run, s string, args []string) []Item { return r.one(Bool(f(s, args))) })
}

// converting makes a function of a conversion (FHIRPath N1 § 5.5), and its converts… twin.
func converting(table map[string]function, name string, to kind, convert func(k kind, s string) (string, bool)) {
	from := func(r *run, in []Item) ([]Item, bool) {
		s, ok := r.single(in, name+"()")
		if !ok {
			return nil, false
		}
		k, _, unit := in[0].scalar()
		text, ok := convert(k, s)
		if !ok {
			return nil, true
		}
		if to != kindQuantity {
			unit = ""
		}
		return r.one(Item{kind: to, text: text, unit: unit}), true
	}
	table[name] = plain(func(r *run, in []Item) []Item {
		out, _ := from(r, in)
		return out
	})
	table["converts"+strings.ToUpper(name[:1])+name[1:]] = plain(func(r *run, in []Item) []Item {
		out, any := from(r, in)
		if !any {
			return nil
		}
		return r.one(Bool(len(out) > 0))
	})
}

func textFunctions() map[string]function {
	table := map[string]function{
		// strings (FHIRPath N1 § 5.6)
		"startsWith": asking(1, func(s string, a []string) bool { return strings.HasPrefix(s, a[0]) }),
		"endsWith":   asking(1, func(s string, a []string) bool { return strings.HasSuffix(s, a[0]) }),
		"contains":   asking(1, func(s string, a []string) bool { return strings.Contains(s, a[0]) }),
		"indexOf": textual(1, func(r *run, s string, a []string) []Item {
			at := strings.Index(s, a[0])
			if at > 0 {
				at = utf8.RuneCountInString(s[:at])
			}
			return r.one(integer(strconv.Itoa(at)))
		}),
		"upper": textual(0, func(r *run, s string, _ []string) []Item { return r.one(String(strings.ToUpper(s))) }),
		"lower": textual(0, func(r *run, s string, _ []string) []Item { return r.one(String(strings.ToLower(s))) }),
		"trim":  textual(0, func(r *run, s string, _ []string) []Item { return r.one(String(strings.TrimSpace(s))) }),
		"length": textual(0, func(r *run, s string, _ []string) []Item {
			return r.one(integer(strconv.Itoa(utf8.RuneCountInString(s))))
		}),
		"toChars": textual(0, func(r *run, s string, _ []string) []Item {
			mark := len(r.items)
			for i, c := range s {
				r.spend(1)
				r.items = append(r.items, String(s[i:i+utf8.RuneLen(c)]))
			}
			return r.since(mark)
		}),
		"replace": textual(2, func(r *run, s string, a []string) []Item {
			r.spend((strings.Count(s, a[0])*len(a[1]) + len(s)) / 16)
			return r.one(String(strings.ReplaceAll(s, a[0], a[1])))
		}),
		"matches": textual(1, func(r *run, s string, a []string) []Item { return r.one(Bool(r.pattern(a[0]).MatchString(s))) }),
		"replaceMatches": textual(2, func(r *run, s string, a []string) []Item {
			re := r.pattern(a[0])
			r.spend((len(re.FindAllStringIndex(s, -1))*(len(a[1])+1) + len(s)) / 16)
			return r.one(String(re.ReplaceAllString(s, a[1])))
		}),
		"split": textual(1, func(r *run, s string, a []string) []Item {
			mark := len(r.items)
			for part := range strings.SplitSeq(s, a[0]) {
				r.spend(1)
				r.items = append(r.items, String(part))
			}
			return r.since(mark)
		}),
		"substring": {1, 2, substring},
		"join":      {0, 1, join},
		// numbers (§ 5.7)
		"abs":      rounding(func(x *big.Rat) *big.Rat { return x.Abs(x) }),
		"floor":    rounding(floor),
		"ceiling":  rounding(func(x *big.Rat) *big.Rat { return x.Neg(floor(x.Neg(x))) }),
		"truncate": rounding(func(x *big.Rat) *big.Rat { return x.SetInt(new(big.Int).Quo(x.Num(), x.Denom())) }),
	}
	converting(table, "toString", kindString, func(_ kind, s string) (string, bool) { return s, true })
	converting(table, "toBoolean", kindBoolean, func(_ kind, s string) (string, bool) {
		switch strings.ToLower(s) {
		case "true", "t", "yes", "y", "1", "1.0":
			return "true", true
		case "false", "f", "no", "n", "0", "0.0":
			return "false", true
		}
		return "", false
	})
	converting(table, "toInteger", kindInteger, func(k kind, s string) (string, bool) {
		if k == kindBoolean {
			return map[string]string{"true": "1", "false": "0"}[s], true
		}
		n, err := strconv.ParseInt(s, 10, 32)
		return strconv.FormatInt(n, 10), err == nil && k != kindDecimal
	})
	converting(table, "toDecimal", kindDecimal, func(k kind, s string) (string, bool) {
		if k == kindBoolean {
			return map[string]string{"true": "1.0", "false": "0.0"}[s], true
		}
		_, ok := parseNumber(s)
		return s, ok
	})
	converting(table, "toDate", kindDate, func(_ kind, s string) (string, bool) {
		s, _, _ = strings.Cut(s, "T")
		_, ok := dateOf(s)
		return s, ok
	})
	converting(table, "toDateTime", kindDateTime, func(_ kind, s string) (string, bool) {
		_, ok := dateOf(s)
		return s, ok
	})
	converting(table, "toTime", kindTime, func(_ kind, s string) (string, bool) { return s, validTime(s) })
	return table
}

func floor(x *big.Rat) *big.Rat {
	return x.SetInt(new(big.Int).Div(x.Num(), x.Denom())) // Euclidean: the denominator is positive
}

// rounding is a function of a number.
func rounding(f func(*big.Rat) *big.Rat) function {
	return plain(func(r *run, in []Item) []Item {
		s, ok := r.single(in, "a number")
		if !ok {
			return nil
		}
		k, _, unit := in[0].scalar()
		n, ok := parseNumber(s)
		if !ok || k != kindInteger && k != kindDecimal && k != kindQuantity {
			r.stop("a number is needed here")
		}
		x, ok := n.rat()
		if !ok {
			return nil
		}
		text := decimalOf(f(x))
		if k == kindDecimal && !strings.Contains(text, ".") && strings.Contains(s, ".") {
			k = kindInteger
		}
		return r.one(Item{kind: k, text: text, unit: unit})
	})
}

func substring(c *compiler, n *node) (step, error) {
	start, err := c.compile(n.args[0])
	if err != nil {
		return nil, err
	}
	var length eval
	if len(n.args) == 2 {
		if length, err = c.compile(n.args[1]); err != nil {
			return nil, err
		}
	}
	return func(r *run, in []Item) []Item {
		s, ok := r.single(in, "substring()")
		if !ok {
			return nil
		}
		r.spend(len(s) / 64)
		from := r.int(start, "the start of substring()")
		count := utf8.RuneCountInString(s)
		if from < 0 || from >= count {
			return nil
		}
		to := count
		if length != nil {
			if l := length(r); len(l) > 0 {
				to = min(count, from+max(0, r.int(func(*run) []Item { return l }, "the length of substring()")))
			}
		}
		if count == len(s) {
			return r.one(String(s[from:to]))
		}
		return r.one(String(string([]rune(s)[from:to])))
	}, nil
}

func join(c *compiler, n *node) (step, error) {
	separator := eval(func(*run) []Item { return nil })
	if len(n.args) == 1 {
		var err error
		if separator, err = c.compile(n.args[0]); err != nil {
			return nil, err
		}
	}
	return func(r *run, in []Item) []Item {
		between, _ := r.single(separator(r), "join()")
		parts := make([]string, len(in))
		for i := range in {
			parts[i] = in[i].Text()
			r.spend(1 + (len(parts[i])+len(between))/16)
		}
		return r.one(String(strings.Join(parts, between)))
	}, nil
}
