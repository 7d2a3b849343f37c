package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// export starts bulk exports (Bulk Data Access 2.0) and looks for what is hidden in what they give.
func (b *battery) export(ctx context.Context, w *world) error {
	for _, path := range []string{"Patient/$export", "$export"} {
		shown := "GET /" + path
		a, err := b.asker.do(ctx, get(path, "Prefer", "respond-async"))
		if err != nil {
			return err
		}
		if a.status != http.StatusAccepted {
			verdict := Unsupported
			if a.status < 300 || b.can.known && b.can.serves("Patient", "$export") {
				verdict = Untried
			}
			b.find(Export, shown, verdict, fmt.Sprintf("answers %d", a.status))
			continue
		}
		files, why, err := b.exported(ctx, a.header.Get("Content-Location"))
		if err != nil {
			return err
		}
		if why != "" {
			b.find(Export, shown, Untried, why)
			continue
		}
		verdict, evidence := Clean, fmt.Sprintf("%d files hold nothing hidden", len(files))
		for _, file := range files {
			content, err := b.asker.do(ctx, get(file, "Accept", "application/fhir+ndjson"))
			if err != nil {
				return err
			}
			if told := w.mentions(string(content.body)); told != "" {
				verdict, evidence = Leak, "a file holds "+told
			}
		}
		b.find(Export, shown, verdict, evidence)
	}
	return nil
}

// exported waits for an export and answers the addresses of its files, or why there are none.
func (b *battery) exported(ctx context.Context, status string) (files []string, why string, err error) {
	if status == "" {
		return nil, "no Content-Location", nil
	}
	for deadline := time.Now().Add(b.Patience); time.Now().Before(deadline); {
		a, err := b.asker.do(ctx, get(status))
		if err != nil {
			return nil, "", err
		}
		switch a.status {
		case http.StatusAccepted:
			if err := pause(ctx, 50*time.Millisecond); err != nil {
				return nil, "", err
			}
		case http.StatusOK:
			var manifest struct{ Output []struct{ URL string } }
			if json.Unmarshal(a.body, &manifest) != nil {
				return nil, "the manifest is no JSON", nil
			}
			for _, o := range manifest.Output {
				files = append(files, o.URL)
			}
			return files, "", nil
		default:
			return nil, fmt.Sprintf("the export ends with %d", a.status), nil
		}
	}
	return nil, fmt.Sprintf("the export was not ready within %s", b.Patience), nil
}

// mentions is what of the hidden an NDJSON file holds, or "".
func (w *world) mentions(file string) string {
	secret := map[string]bool{}
	for _, tw := range w.resources {
		secret[tw.hidden["type"]+"/"+tw.hidden["id"]] = true
	}
	if w.hiddenPatient != nil {
		secret["Patient/"+w.hiddenPatient.hidden["patient"]] = true
	}
	for line := range strings.Lines(file) {
		var r doc
		if json.Unmarshal([]byte(line), &r) == nil && secret[r.Type+"/"+r.ID] {
			return r.Type + "/" + r.ID
		}
	}
	return ""
}

// notification subscribes (R4 Subscription, rest-hook) to what is hidden, has the preparer write some, and waits.
func (b *battery) notification(ctx context.Context, w *world) error {
	const shown = "POST /Subscription"
	switch {
	case b.can.known && !b.can.serves("Subscription", "create"):
		b.find(Notification, shown, Unsupported, "no Subscription in the CapabilityStatement")
		return nil
	case b.preparer == nil || !b.Write || b.Listen == "":
		b.find(Notification, shown, Untried, "it needs a preparer who writes, and an address for notifications (--prepare-…, --write, --listen)")
		return nil
	}
	listener, err := net.Listen("tcp", b.Listen)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var heard []string
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, maxAnswer))
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, string(body))
	})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(heard)
	}
	id, err := wrote(ctx, b.asker, "Subscription", `{"resourceType":"Subscription","status":"requested","reason":"leak battery","criteria":"`+b.Type+
		`?_lastUpdated=gt2000-01-01","channel":{"type":"rest-hook","endpoint":"http://`+listener.Addr().String()+`/hook","payload":"application/fhir+json"}}`)
	if err != nil {
		b.find(Notification, shown, Untried, err.Error())
		return nil
	}
	defer func() { _, _ = b.asker.do(ctx, request{method: http.MethodDelete, path: "Subscription/" + id}) }()
	if err := pause(ctx, b.Patience/4); err != nil { // the handshake
		return err
	}
	before := count()
	if _, err := wrote(ctx, b.preparer, b.Type, b.fill(templates[b.Type], b.Patient, random(b.mark), "")); err != nil {
		return err
	}
	for deadline := time.Now().Add(b.Patience); time.Now().Before(deadline) && count() == before; {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	if n := count(); n > before {
		b.find(Notification, shown, Leak, fmt.Sprintf("%d notifications after something hidden was written: %.200s", n-before, heard[n-1]))
		return nil
	}
	b.find(Notification, shown, Clean, fmt.Sprintf("nothing within %s of something hidden written", b.Patience))
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
