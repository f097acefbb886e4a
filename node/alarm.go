package node

import (
	"fmt"
	"log/slog"
	"time"
)

// AlarmCode names a state that a person must act on. The words are held stable:
// log lines, /stats, the metric bettensor_alarm_active and the runbook use them.
type AlarmCode uint8

// ConditionStore is the word for the condition of readiness that the store is open
// and takes what is written. Who judges readiness and who raises AlarmStoreFailed
// when it is not met are edges that do not know each other.
const ConditionStore = "store_open"

// The alarms. What each means and what to do about it stands in docs/runbook.md,
// under a heading of the same word.
const (
	// AlarmWeightsMissed: two tempos ended without weights of ours on the chain.
	AlarmWeightsMissed AlarmCode = iota
	// AlarmWeightsRefused: the chain refused weights for a reason that waiting
	// does not change.
	AlarmWeightsRefused
	// AlarmWeightsIdle: with nothing to score, half of the activity cutoff is over.
	AlarmWeightsIdle
	// AlarmRevealMissed: committed weights were not revealed when they were due.
	AlarmRevealMissed
	// AlarmForeignKey: somebody else acts with our hotkey.
	AlarmForeignKey
	// AlarmNotRegistered: our hotkey has no slot in the subnet.
	AlarmNotRegistered
	// AlarmNoPermit: our hotkey may not set weights.
	AlarmNoPermit
	// AlarmChainStale: no new block for 50 block times.
	AlarmChainStale
	// AlarmFeedStale: no good answer of the games feed for six polls.
	AlarmFeedStale
	// AlarmFeedRefused: the feed's provider refuses our key for good.
	AlarmFeedRefused
	// AlarmFeedQuota: what is left of the feed's quota does not last.
	AlarmFeedQuota
	// AlarmFeedCorrections: the feed changes the results of many finished games.
	AlarmFeedCorrections
	// AlarmStoreFailed: the store does not take what is written.
	AlarmStoreFailed
	// AlarmDiskLow: the store's disk is nearly full.
	AlarmDiskLow
	// AlarmBackupFailed: the last copy of the store failed.
	AlarmBackupFailed
	// AlarmServiceFailed: a service panicked and is not back.
	AlarmServiceFailed
	// AlarmLoopStalled: the loop makes no progress.
	AlarmLoopStalled
	// AlarmClockOffset: our clock is off by so much that peers refuse what we sign.
	AlarmClockOffset

	alarmCount
)

var alarmNames = [alarmCount]struct{ word, fix string }{
	AlarmWeightsMissed:   {"weights_missed", "see the last weights line for the chain's answer; then `bettensor weights show`"},
	AlarmWeightsRefused:  {"weights_refused", "do what the chain's answer asks for; weights are tried again next round"},
	AlarmWeightsIdle:     {"weights_idle", "check the feed and the miners, or set weights.fallback"},
	AlarmRevealMissed:    {"reveal_missed", "nothing by hand: weights are committed again; check the chain's beacon if it comes back"},
	AlarmForeignKey:      {"foreign_key", "find the other process that holds this hotkey and stop it, then restart this one"},
	AlarmNotRegistered:   {"not_registered", "register the hotkey; `bettensor doctor` prints the command"},
	AlarmNoPermit:        {"no_permit", "raise the hotkey's stake above the threshold that `bettensor doctor` prints"},
	AlarmChainStale:      {"chain_stale", "check the network and the endpoints; add a second --subtensor.chain_endpoint"},
	AlarmFeedStale:       {"feed_stale", "check --feed.url and the provider's own status"},
	AlarmFeedRefused:     {"feed_refused", "renew the feed's key and restart"},
	AlarmFeedQuota:       {"feed_quota", "poll less often, follow fewer leagues, or buy a larger plan"},
	AlarmFeedCorrections: {"feed_corrections", "compare some of those results with another source; a second feed (--feed.second.url) decides it for you"},
	AlarmStoreFailed:     {"store_failed", "check the disk; then `bettensor store verify`"},
	AlarmDiskLow:         {"disk_low", "free space on the store's disk"},
	AlarmBackupFailed:    {"backup_failed", "free space for backups, and check the directory's mode"},
	AlarmServiceFailed:   {"service_failed", "report the stack in the log; the service is built again by itself"},
	AlarmLoopStalled:     {"loop_stalled", "take /debug/pprof/goroutine?debug=2, then restart"},
	AlarmClockOffset:     {"clock_offset", "make the system follow a time server"},
}

// AlarmCodes returns all codes, in their order.
func AlarmCodes() []AlarmCode {
	out := make([]AlarmCode, alarmCount)
	for i := range out {
		out[i] = AlarmCode(i)
	}
	return out
}

func (c AlarmCode) String() string {
	if c < alarmCount {
		return alarmNames[c].word
	}
	return fmt.Sprintf("alarm(%d)", uint8(c))
}

// Fix is what to do about it, in a line.
func (c AlarmCode) Fix() string {
	if c < alarmCount {
		return alarmNames[c].fix
	}
	return ""
}

// Runbook is where to read what to do about it.
func (c AlarmCode) Runbook() string { return "docs/runbook.md#" + c.String() }

// MarshalText gives a code its word in JSON.
func (c AlarmCode) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *AlarmCode) UnmarshalText(text []byte) error {
	for i := range alarmNames {
		if alarmNames[i].word == string(text) {
			*c = AlarmCode(i)
			return nil
		}
	}
	return fmt.Errorf("unknown alarm %q", text)
}

// Alarm is a raised alarm.
type Alarm struct {
	Code  AlarmCode `json:"code"`
	Since time.Time `json:"since"` // when it was raised
	Why   string    `json:"why"`   // the newest reason
}

// Alarms are the alarms of one owner: a node's are the loop's, like all its
// state. It holds a place for every code, so nothing in it grows. A log line of
// level ERROR says when an alarm is raised, and one of level INFO when it is
// over; a reason that changes meanwhile is kept and not logged.
type Alarms struct {
	now    func() time.Time
	log    *slog.Logger
	raised [alarmCount]Alarm
	active [alarmCount]bool
	count  [alarmCount]uint64
}

// NewAlarms makes an owner's alarms, none of them raised. now is the owner's
// clock, and log takes the lines.
func NewAlarms(now func() time.Time, log *slog.Logger) *Alarms {
	return &Alarms{now: now, log: log}
}

// Raise raises an alarm, or gives a raised one a newer reason. fields are
// key-value pairs for the log line: block, epoch, uid.
func (a *Alarms) Raise(code AlarmCode, why string, fields ...any) {
	if a.active[code] {
		a.raised[code].Why = why
		return
	}
	a.active[code] = true
	a.count[code]++
	a.raised[code] = Alarm{Code: code, Since: a.now(), Why: why}
	a.log.Error("alarm", append([]any{"code", code.String(), "err", why, "fix", code.Fix(), "runbook", code.Runbook()}, fields...)...)
}

// Clear ends an alarm. One that is not raised stays so, and nothing is logged.
func (a *Alarms) Clear(code AlarmCode, fields ...any) {
	if !a.active[code] {
		return
	}
	a.active[code] = false
	a.log.Info("alarm over", append([]any{"code", code.String(), "lasted", a.now().Sub(a.raised[code].Since).Round(time.Second).String()}, fields...)...)
}

// Set raises an alarm or clears it: for a state that is judged again and again.
func (a *Alarms) Set(code AlarmCode, on bool, why string, fields ...any) {
	if on {
		a.Raise(code, why, fields...)
	} else {
		a.Clear(code, fields...)
	}
}

// Active says whether an alarm is raised.
func (a *Alarms) Active(code AlarmCode) bool { return a.active[code] }

// Raised counts how often an alarm was raised.
func (a *Alarms) Raised(code AlarmCode) uint64 { return a.count[code] }

// List returns the raised alarms in order of their codes.
func (a *Alarms) List() []Alarm {
	var out []Alarm
	for i, on := range a.active {
		if on {
			out = append(out, a.raised[i])
		}
	}
	return out
}
