package web

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestClientOfSomethingElse: what listens there may be no node, and must neither
// be believed nor waited for without end.
func TestClientOfSomethingElse(t *testing.T) {
	for _, c := range []struct {
		name string
		h    http.HandlerFunc
		says string
	}{
		{"a web page", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, "not a node's answer"},
		{"half of it", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"role":"miner"`)) }, "not a node's answer"},
		{"too much", func(w http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat(" ", 1<<20))
			for range maxAnswer>>20 + 1 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, "more than"},
		{"somewhere else", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}, "status 302"},
		{"nothing there", http.NotFound, "status 404"},
		{"a silent loop", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			w.Write([]byte(`{"error":"the node does not answer: x"}`))
		}, "the node does not answer: x"},
	} {
		s := httptest.NewServer(c.h)
		client := Client{Address: strings.TrimPrefix(s.URL, "http://")}
		if _, err := client.Stats(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, ErrNobody) {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := client.Ready(t.Context()); err != nil && strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: %v", c.name, err)
		}
		s.Close()
	}
	if _, err := (Client{Address: "no port"}).Ready(t.Context()); err == nil {
		t.Error("an address that is none")
	}
}
