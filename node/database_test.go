package node

import (
	"errors"
	"strings"
	"testing"
	"time"

	"bettensor/sched"
)

// TestBackupsAreTakenAndTold runs the database service against a backend that
// fails once: the failure is counted, retried, and a good copy follows at the
// service's own pace. A backend that fails or hangs later on is told of, whatever
// it did before.
func TestBackupsAreTakenAndTold(t *testing.T) {
	r := newRig(t)
	v := r.addValidator("v0", func(c *ValidatorConfig) { c.BackupInterval, c.BackupDeadline = time.Hour, 100*time.Hour })
	calls, broken, hangs := 0, false, false
	v.backup = func(_ BackupRequest, reply func(sched.Result[BackupReply])) {
		if hangs {
			return
		}
		if broken {
			reply(sched.Failed[BackupReply](errors.New("no space")))
			return
		}
		if calls++; calls == 1 {
			reply(sched.Failed[BackupReply](errors.New("disk full")))
			return
		}
		reply(sched.Result[BackupReply]{Res: BackupReply{Name: "000001-7"}})
	}
	v.kill() // and again, now with somewhere to copy to
	v.start()
	r.run(80 * time.Minute)
	if got := v.count("database", "backups"); calls != 2 || got != 1 || v.count("database", "backups_failed") != 1 {
		t.Errorf("after 80 minutes: %d calls, %d copies, %d failures", calls, got, v.count("database", "backups_failed"))
	}
	if s := v.service("database"); s.State != "ok" {
		t.Errorf("after a good copy the service is %s: %s", s.State, s.Reason)
	}
	r.run(5 * time.Hour)
	if got := v.count("database", "backups"); got < 4 || got > 7 {
		t.Errorf("%d copies in six hours, want about one an hour", got)
	}
	if age := v.count("database", "backup_age_seconds"); age > 2*3600 {
		t.Errorf("the newest copy is %d s old", age)
	}
	broken = true
	r.run(90 * time.Minute)
	if s := v.service("database"); s.State != "degraded" || !strings.Contains(s.Reason, "no space") || !strings.Contains(s.Reason, "000001-7") {
		t.Errorf("after a failure behind good copies: %s: %s", s.State, s.Reason)
	}
	broken = false
	r.run(90 * time.Minute)
	if s := v.service("database"); s.State != "ok" {
		t.Errorf("after the next good copy: %s: %s", s.State, s.Reason)
	}
	hangs = true
	r.run(4 * time.Hour)
	if s := v.service("database"); s.State != "degraded" || !strings.Contains(s.Reason, "overdue") {
		t.Errorf("while the backend says nothing: %s: %s", s.State, s.Reason)
	}
}
