package node

import (
	"errors"
	"testing"
	"time"

	"bettensor/sched"
)

// TestBackupsAreTakenAndTold runs the database service against a backend that
// fails once: the failure is counted, retried, and a good copy follows at the
// service's own pace.
func TestBackupsAreTakenAndTold(t *testing.T) {
	r := newRig(t)
	v := r.addValidator("v0", func(c *ValidatorConfig) { c.BackupInterval = time.Hour })
	calls := 0
	v.backup = func(_ BackupRequest, reply func(sched.Result[BackupReply])) {
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
}
