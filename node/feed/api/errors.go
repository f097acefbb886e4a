package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// Code is a stable name of why a fetch failed. Codes are in metrics, logs and
// the runbook, and never change their meaning.
type Code string

// The codes.
const (
	CodeNetwork  Code = "feed_network"      // no connection, or it broke
	CodeTimeout  Code = "feed_timeout"      // no whole answer in time
	CodeStatus   Code = "feed_status"       // an HTTP status that is no answer
	CodeKey      Code = "feed_key"          // the key is missing, wrong or switched off: somebody must act
	CodeQuota    Code = "feed_quota"        // the credits of the month are used up
	CodeRate     Code = "feed_rate_limited" // too many requests: passes by itself
	CodeTooLarge Code = "feed_too_large"    // more bytes, pages or games than are read
	CodeShape    Code = "feed_shape"        // not the documented form: a page for people, cut short, an error told with status 200
	CodeRepeats  Code = "feed_repeats"      // pages repeat: the server does not page
	CodeRedirect Code = "feed_redirect"     // sent to another host
	CodeBreaker  Code = "feed_breaker_open" // too many failures: not asked for a while
	CodeFile     Code = "feed_file"         // a file that cannot be read
	CodeBusy     Code = "feed_busy"         // earlier fetches are still under way, or the feed is closed
	CodeConfig   Code = "feed_config"       // the configuration cannot work
)

// advice says what to do, where there is something to do.
func (c Code) advice() string {
	switch c {
	case CodeKey:
		return "check the feed's key (--feed.key_file or the provider's account page) and start again"
	case CodeQuota:
		return "wait for the month's end, ask for fewer sports (--feed.sports), or take a larger plan"
	case CodeShape:
		return "open the feed's address and see what it answers; --feed.kind says which form is expected"
	case CodeRepeats:
		return "take --feed.kind json for an address that gives all games in one answer"
	case CodeRedirect:
		return "set --feed.url to the address it leads to, if that is the provider's"
	case CodeFile:
		return "check --feed.url and that the file can be read"
	}
	return ""
}

// Error is why a fetch failed.
type Error struct {
	Code Code
	// Op is the request without its keys, or the file.
	Op string
	// Status of HTTP; 0 where none came.
	Status int
	// After is how long the server asks to wait; 0 where it does not say.
	After time.Duration
	Err   error
}

// Error says the code, what was tried, why it failed and what to do.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Code))
	if e.Op != "" {
		b.WriteString(": " + e.Op)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if fix := e.Code.advice(); fix != "" {
		b.WriteString("; " + fix)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Passing tells whether the same request may succeed when it is tried again.
func (e *Error) Passing() bool {
	switch e.Code {
	case CodeNetwork, CodeTimeout, CodeRate, CodeShape:
		return true
	case CodeStatus:
		return e.Status >= 500 || e.Status == 408 || e.Status == 425
	}
	return false
}

// asError makes an *Error of any error. A *url.Error is opened first: its text
// holds the whole address, keys included.
func asError(err error, op string) *Error {
	var e *Error
	if errors.As(err, &e) {
		if e.Err == nil {
			e.Err = errors.New("refused")
		}
		return e
	}
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
		u = nil
	}
	code := CodeNetwork
	var timeout net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.As(err, &timeout) && timeout.Timeout():
		code = CodeTimeout
	}
	return &Error{Code: code, Op: op, Err: err}
}

// redacted stands where a secret stood.
const redacted = "REDACTED"

// Redacted is an address, or a path, as it may be shown: without user, password
// and what in its query may be a key.
func Redacted(raw string) string {
	if !strings.ContainsAny(raw, "@?#") {
		return raw
	}
	return redactURL(raw)
}

// redactURL is an address without user, password and the values of its query
// that are no plain numbers, times or words of ours.
func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return redacted
	}
	if u.User != nil {
		u.User = url.User(redacted)
	}
	q := u.Query()
	changed := false
	for k := range q { // each parameter is judged alone, and Encode sorts
		if !openParameters[k] {
			q.Set(k, redacted)
			changed = true
		}
	}
	if changed {
		u.RawQuery = q.Encode()
	}
	u.Fragment = ""
	return u.String()
}

// openParameters may be shown. Everything else in a query may be somebody's key.
var openParameters = map[string]bool{
	"PageIndex": true, "ItemsPerPage": true, "SortOrder": true, "LastUpdateDate": true, "StartDate": true, "LeagueFilter": true,
	"regions": true, "bookmakers": true, "markets": true, "oddsFormat": true, "dateFormat": true, "daysFrom": true,
}
