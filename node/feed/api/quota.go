package api

import (
	"net/http"
	"strconv"
	"time"
)

// Quota is what a provider's headers last told of its credits. They are counted
// by calendar month in UTC.
type Quota struct {
	Remaining int       `json:"remaining"`
	Used      int       `json:"used"`
	Last      int       `json:"last"` // cost of the last request
	At        time.Time `json:"at"`   // when the headers came
	ResetsAt  time.Time `json:"resets_at"`
	// Forecast is how many credits will have been used by ResetsAt at the pace of
	// this month so far. More than Used + Remaining will not do.
	Forecast int `json:"forecast"`
	// Floor of credits kept for results, and whether it is reached.
	Floor       int  `json:"floor"`
	ResultsOnly bool `json:"results_only"`
}

// maxCredits bounds what headers are believed: plans end far below.
const maxCredits = 1_000_000_000

// quota keeps count of a provider's credits.
type quota struct {
	floor int
	known bool
	now   Quota

	since     time.Time // the first headers of this month
	usedSince int
}

// learn reads the usage headers of an answer, where it has them.
func (q *quota) learn(h http.Header, now time.Time) {
	remaining, ok := credits(h.Get("x-requests-remaining"))
	used, ok2 := credits(h.Get("x-requests-used"))
	if !ok || !ok2 {
		return
	}
	last, _ := credits(h.Get("x-requests-last"))
	reset := monthEnd(now)
	if !q.known || !reset.Equal(q.now.ResetsAt) || used < q.usedSince {
		q.since, q.usedSince = now, used
	}
	q.known = true
	q.now = Quota{Remaining: remaining, Used: used, Last: last, At: now, ResetsAt: reset, Floor: q.floor}
	q.now.Forecast = used + int(min(q.pace(now)*reset.Sub(now).Hours(), maxCredits))
}

// pace is credits an hour: since the first headers of the month, or, before they
// are an hour old, since the month began.
func (q *quota) pace(now time.Time) float64 {
	if d := now.Sub(q.since); d >= time.Hour {
		return float64(q.now.Used-q.usedSince) / d.Hours()
	}
	begun := now.Sub(monthStart(now))
	if begun < time.Hour {
		begun = time.Hour
	}
	return float64(q.now.Used) / begun.Hours()
}

// empty makes a provider's word that no credits are left ours.
func (q *quota) empty(now time.Time) {
	q.known = true
	q.now.Remaining, q.now.At, q.now.ResetsAt, q.now.Floor = 0, now, monthEnd(now), q.floor
}

// resultsOnly tells whether what is left must be kept for results. A new month
// brings new credits, which the next answer tells of.
func (q *quota) resultsOnly(now time.Time) bool {
	return q.known && q.now.Remaining <= q.floor && now.Before(q.now.ResetsAt)
}

// interval stretches the time between requests of one cost, of which there are n
// kinds, so that what is left above the floor lasts to the month's end.
func (q *quota) interval(least time.Duration, cost, n int, now time.Time) time.Duration {
	if !q.known || !now.Before(q.now.ResetsAt) {
		return least
	}
	spare := float64(q.now.Remaining-q.floor) / float64(max(cost*n, 1)) // rounds of requests
	if spare < 1 {
		spare = 1
	}
	return max(least, time.Duration(float64(q.now.ResetsAt.Sub(now))/spare))
}

// credits reads a number of credits; some answers write them with a fraction.
func credits(text string) (int, bool) {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x >= 0 && x <= maxCredits) {
		return 0, false
	}
	return int(x), true
}

func monthStart(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

func monthEnd(t time.Time) time.Time { return monthStart(t).AddDate(0, 1, 0) }
