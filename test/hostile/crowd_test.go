package hostile

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sotesilta/test/gatewaytest"
)

// TestSlowSendersKeepNobodyOut: more connections than requests are answered at once begin a body and leave it so, some
// without a token; others get tokens and data meanwhile.
func TestSlowSendersKeepNobodyOut(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		worker := g.SocialWorker().Authorization(t)
		for _, c := range []struct{ path, headers string }{
			{"/auth/token", "Content-Type: application/x-www-form-urlencoded\r\n"},
			{"/access/v1/evaluation", "Content-Type: application/json\r\nAuthorization: " + worker + "\r\n"},
		} {
			var slow []net.Conn
			for range 600 {
				conn, err := net.Dial("tcp", strings.TrimPrefix(g.Root, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				slow = append(slow, conn)
				if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gw\r\n%sContent-Length: 20000\r\n\r\n{", c.path, c.headers); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(300 * time.Millisecond) // they have all arrived
			g.Nurse().Get(t, "Patient/onni").Want(t, 200)
			if err := g.Physician().TryToken(); err != nil {
				t.Errorf("%s: no token: %v", c.path, err)
			}
			for _, conn := range slow {
				_ = conn.Close()
			}
		}
		serving(t, g)
	})
}

// TestManySimulationsAtOnce: each reads the store beside the snapshot it holds; together they wait for nothing that only
// they hold, and others read meanwhile.
func TestManySimulationsAtOnce(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		const wish = `{"resourceType":"Consent","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},
			"category":[{"coding":[{"system":"https://sotesilta.example/fhir/CodeSystem/permit-direction","code":"1"}]}],"patient":{"reference":"Patient/aino"},
			"provision":{"type":"permit"},"policyRule":{"coding":[{"system":"https://sotesilta.example/fhir/CodeSystem/legal-basis","code":"ATL-53.2"}]}}`
		token := g.As("omaks", "aino").Authorization(t)
		g.Nurse().Get(t, "Patient/onni").Want(t, 200)
		var answered atomic.Int64
		var running sync.WaitGroup
		for range 60 {
			running.Go(func() {
				a, err := g.Try("POST", "/access/v1/simulate", wish, "Authorization", token, "Content-Type", "application/json")
				if err == nil && a.Status == 200 {
					answered.Add(1)
				}
			})
		}
		time.Sleep(100 * time.Millisecond)
		g.Nurse().Get(t, "Patient/onni").Want(t, 200)
		running.Wait()
		if n := answered.Load(); n < 10 {
			t.Errorf("%d of 60 simulations were answered", n)
		}
		serving(t, g)
	})
}

// TestAmplificationIsBounded: a small request makes no answer, and no resource, of a size beyond all bounds.
func TestAmplificationIsBounded(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		text := strings.Repeat("x", 1_000_000)
		large := nurse.Create(t, `{"resourceType":"Observation","status":"final","code":{"text":"suuri"},"subject":{"reference":"Patient/onni"},"extension":[`+
			strings.TrimSuffix(strings.Repeat(`{"url":"https://vendor.example/large","valueString":"`+text+`"},`, 4), ",")+`]}`)
		ref := gatewaytest.Ref(large)

		batch := func(kind, entry, prefer string) string {
			w := nurse.Do(t, "POST", "", `{"resourceType":"Bundle","type":"`+kind+`","entry":[`+strings.TrimSuffix(strings.Repeat(entry+",", 30), ",")+`]}`, "Prefer", prefer)
			if w.Want(t, 200); len(w.Body) > 80<<20 {
				t.Errorf("%s of 30 × %s: %d bytes", kind, entry, len(w.Body))
			}
			return string(w.Body)
		}
		read := `{"request":{"method":"GET","url":"` + ref + `"}}`
		for _, kind := range []string{"batch", "transaction"} {
			if kind == "transaction" { // there a read that fails fails the whole
				nurse.Do(t, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+strings.TrimSuffix(strings.Repeat(read+",", 30), ",")+`]}`).Outcome(t, 413)
				continue
			}
			if body := batch(kind, read, ""); strings.Count(body, "200 OK") < 10 || !strings.Contains(body, "413 Request Entity Too Large") {
				t.Errorf("%s: %d entries were answered", kind, strings.Count(body, "200 OK"))
			}
		}
		patch := `{"request":{"method":"PATCH","url":"` + ref + `"},"resource":{"resourceType":"Parameters","parameter":[{"name":"operation","part":[
		{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Observation.status"},{"name":"value","valueCode":"amended"}]}]}}`
		if body := batch("batch", patch, "return=representation"); strings.Count(body, "200 OK") != 30 {
			t.Errorf("%d of 30 patches were made", strings.Count(body, "200 OK"))
		}

		double := `{"op":"copy","from":"/extension","path":"/extension/0/extension"}`
		w := nurse.Do(t, "PATCH", ref, "["+strings.Repeat(double+",", 15)+double+"]", "Content-Type", "application/json-patch+json")
		if issue := w.Outcome(t, 422).JSON(); !strings.Contains(string(issue), "adds at most") {
			t.Errorf("%s", issue)
		}
		serving(t, g)
	})
}

// TestAnIdentityCodeNamesNoResource: neither what refuses it nor a record repeats it.
func TestAnIdentityCodeNamesNoResource(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		const code = "170588-9102"
		for _, request := range []string{
			`{"request":{"method":"PUT","url":"Observation/` + code + `"},"resource":{"resourceType":"Observation","id":"` + code + `","status":"final","code":{"text":"x"}}}`,
			`{"request":{"method":"GET","url":"Observation/` + code + `"}}`,
			`{"request":{"method":"DELETE","url":"Observation/` + code + `"}}`,
			`{"request":{"method":"GET","url":"Observation/170588%2D9102/_history"}}`,
		} {
			g.SocialWorker().Do(t, "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[`+request+`]}`).Outcome(t, 400)
		}
		if logged := g.Stderr.String(); strings.Contains(logged, code) {
			t.Error("the log holds the code")
		}
	})
}
